"""Tests of `notifier.checks`; `looking` looks at a template by itself."""
