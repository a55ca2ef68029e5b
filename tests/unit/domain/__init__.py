"""Tests of `notifier.domain`."""
