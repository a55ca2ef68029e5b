"""Notifier: domain events in, emails and signed webhooks out, every failure kept where it can be seen and replayed."""

__version__ = "0.1.0"
