"""Asking before something that cannot be taken back."""

from __future__ import annotations

import sys

import typer

from notifier.cli.exits import FAILED, USAGE, fail


def confirm(what: str, yes: bool) -> None:
    """Ask whether to ``what``; without a terminal nobody can answer, so ``--yes`` is needed there."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise fail(f"would {what}; nothing was done. Add --yes to do it without being asked", USAGE)
    if not typer.confirm(f"{what[:1].upper()}{what[1:]}?", err=True):
        raise fail("nothing was done", FAILED)
