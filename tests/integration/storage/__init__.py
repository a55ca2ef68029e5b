"""Tests of `notifier.storage` against a real server; `making` builds their values."""
