"""Exit codes, and how errors reach the person at the terminal: as sentences, never as a traceback."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from notifier import errors

#: Exit statuses, as `EXPLAINED` tells them.
OK = 0
FAILED = 1
USAGE = 2
AWAY = 3

EXPLAINED = (
    "Exit codes: 0 done, 1 failed or not found, 2 wrong usage or configuration, "
    "3 RabbitMQ, Redis or PostgreSQL is away."
)

#: The first class that matches wins, so the most specific come first.
_CODES: tuple[tuple[type[errors.NotifierError], int], ...] = (
    (errors.ConfigurationError, USAGE),
    (errors.TopologyConflict, USAGE),
    (errors.Unavailable, AWAY),
    (errors.PublishRejected, AWAY),
    (errors.NotifierError, FAILED),
)


def code_of(error: errors.NotifierError) -> int:
    """The exit code that tells a script about one of our errors."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def complain(message: str) -> None:
    """One message on standard error, so that ``--json`` output stays clean."""
    sys.stderr.write(f"notifier: {message}\n")


def fail(message: str, code: int = FAILED) -> typer.Exit:
    """Say why, and return the exception that ends the verb; the caller raises it."""
    complain(message)
    return typer.Exit(code)


class SpeakingGroup(TyperGroup):
    """A command group that turns our errors into sentences and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except errors.NotifierError as error:
            raise fail(_sentence(error), code_of(error)) from None


def _sentence(error: errors.NotifierError) -> str:
    hint = ""
    if isinstance(error, errors.BrokerUnavailable):
        hint = "\nIs RabbitMQ running, and does NOTIFIER_BROKER_URL name it? `notifier config` shows the address."
    elif isinstance(error, errors.StorageUnavailable):
        hint = "\nIs Redis running, and does NOTIFIER_REDIS_URL name it? `notifier config` shows the address."
    elif isinstance(error, errors.HistoryUnavailable):
        hint = "\nNOTIFIER_HISTORY_URL names it; `notifier config` shows the address."
    return f"{error}{hint}"
