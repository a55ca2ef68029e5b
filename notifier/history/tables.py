"""Writing rows: COPY into a table of the session's own, from there over what is older. Days come and go here too."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import psycopg
from psycopg import errors as pg

from notifier.history.database import Session
from notifier.history.rows import DELIVERY_COLUMNS, EVENT_COLUMNS, Row
from notifier.logs import get, wide

_log = get("history")

#: One of many movers holds it while it reads Redis and writes here, and so does whoever forgets a person: what was read
#: before that is written before that.
LOCK = 0x6E_74_66_68
#: Days after today whose partitions are there before anybody needs them.
AHEAD = 2
#: What is wrong with a row, not with the server; rows are made so that none of these comes.
_BAD_ROW = (psycopg.DataError, pg.ProgramLimitExceeded)


@dataclass(frozen=True, slots=True)
class Table:
    """One of the history's tables."""

    name: str
    columns: tuple[str, ...]
    beside: str = ""
    """What is set otherwise than to what comes."""
    when: str = ""
    """Which rows are written over."""

    @property
    def moving(self) -> str:
        """The session's own table, from which rows are written over what is older."""
        return f"moving_{self.name}"

    @property
    def copy(self) -> str:
        """Statement."""
        return f"COPY {self.moving} ({', '.join(self.columns)}) FROM STDIN"

    @property
    def upsert(self) -> str:
        """Statement."""
        names = ", ".join(self.columns)
        key, rest = self.columns[:2], self.columns[2:]
        changes = [f"{name} = excluded.{name}" for name in rest if not self.beside.startswith(name)]
        changes += [self.beside] if self.beside else []
        return (
            f"INSERT INTO notifier.{self.name} AS kept ({names}) SELECT {names} FROM {self.moving} "  # noqa: S608 - ours
            f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(changes)} {self.when}"
        )


DELIVERIES = Table(
    "deliveries",
    DELIVERY_COLUMNS,
    # Not every call that ends a delivery knows who gets it; what is forgotten stays nobody's.
    "person = CASE WHEN excluded.person = '' AND excluded.destination <> 'forgotten' THEN kept.person "
    "ELSE excluded.person END",
    "WHERE excluded.updated >= kept.updated",
)
EVENTS = Table("events", EVENT_COLUMNS)


def open_session(session: Session) -> None:
    """What a session that writes begins with."""
    for table in (DELIVERIES, EVENTS):
        session.execute(
            f"CREATE TEMP TABLE {table.moving} (LIKE notifier.{table.name}) ON COMMIT DELETE ROWS",
        )


def take_lock(session: Session, *, waits: bool = False) -> bool:
    """For this transaction; False when another process has it."""
    name = "pg_advisory_xact_lock" if waits else "pg_try_advisory_xact_lock"
    (taken,) = session.execute(f"SELECT {name}(%s)", [LOCK]).fetchone() or (False,)
    return waits or bool(taken)


def make_days(session: Session, days: Iterable[date]) -> None:
    """Partitions for these."""
    for day in sorted(days):
        session.execute("SELECT notifier.make_day(%s)", [day])


def days_ahead(today: date) -> set[date]:
    """Those that must be there before they begin."""
    return {today + timedelta(days=number) for number in range(AHEAD + 1)}


def drop_days(session: Session, oldest: date) -> int:
    """Take away all days before this one; says how many partitions that were."""
    (count,) = session.execute("SELECT notifier.drop_days(%s)", [oldest]).fetchone() or (0,)
    return int(count)


def write(session: Session, table: Table, rows: Sequence[Row]) -> int:
    """Write rows with different keys over what is older; says how many could be."""
    if not rows:
        return 0
    try:
        with session.transaction():
            with session.cursor() as cursor, cursor.copy(table.copy) as copy:
                for row in rows:
                    copy.write_row(row)
            session.execute(table.upsert)
            session.execute(f"DELETE FROM {table.moving}")  # noqa: S608 - ours
    except _BAD_ROW as error:
        if len(rows) == 1:
            wide(_log, "history.unwritable", level=logging.ERROR, id=rows[0][1], error=type(error).__name__)
            return 0
        middle = len(rows) // 2
        return write(session, table, rows[:middle]) + write(session, table, rows[middle:])
    return len(rows)
