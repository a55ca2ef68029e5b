"""Tests of `notifier.worker`."""
