"""Tests of `notifier.rules`; `trees` writes templates folders for them."""
