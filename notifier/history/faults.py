"""The one table from psycopg's exceptions to ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from notifier.errors import HistoryUnavailable

_INIT = "run `notifier history init` as their owner"
#: Exception classes → what to tell the reader. The first that matches wins.
_AWAY: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((pg.InvalidPassword, pg.InvalidAuthorizationSpecification), "refused our login; check NOTIFIER_HISTORY_URL"),
    ((pg.InvalidCatalogName,), "has no such database; make it, then run `notifier history init`"),
    ((pg.UndefinedTable, pg.InvalidSchemaName), f"does not have the history's tables; {_INIT}"),
    ((pg.UndefinedColumn, pg.UndefinedFunction), f"has the history's tables in another shape; {_INIT}"),
    (
        (pg.InsufficientPrivilege,),
        "does not allow this user what the history needs; run `notifier history init --grant-to USER` as the owner",
    ),
    (
        (pg.ReadOnlySqlTransaction,),
        "is a standby; name the primary, or all hosts and ?target_session_attrs=read-write",
    ),
    ((pg.DiskFull,), "has no room on its disk; make room, or keep days for less long (NOTIFIER_HISTORY_RETENTION)"),
    ((pg.TooManyConnections, pg.OutOfMemory), "has no connection or memory left for us"),
    (
        (pg.QueryCanceled, pg.LockNotAvailable, pg.DeadlockDetected),
        "did not finish in time; pg_stat_activity tells what holds it up",
    ),
    ((pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow), "is starting or stopping"),
    ((pg.CheckViolation,), "has no partition for a day of these deliveries"),
    ((psycopg.OperationalError,), "cannot be reached"),
)


@contextmanager
def translated() -> Iterator[None]:
    """Raises `HistoryUnavailable` for whatever psycopg raises: what can be wrong with a row, its writer looks after."""
    try:
        yield
    except psycopg.Error as error:
        text = next((text for kinds, text in _AWAY if isinstance(error, kinds)), "answered with an error")
        raise HistoryUnavailable(f"PostgreSQL {text}: {_message(error)}") from error


def _message(error: psycopg.Error) -> str:
    """One line, without the DETAIL, which may quote a row."""
    text = error.diag.message_primary or str(error) or type(error).__name__
    return " ".join(line.strip() for line in text.splitlines() if line.strip())
