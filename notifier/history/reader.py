"""`HistoryReader`: finds deliveries and events in the history, and forgets people there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg.rows import dict_row

from notifier.domain.delivery import DeliveryRecord
from notifier.history import tables
from notifier.history.database import Database, Session
from notifier.history.rows import (
    DELIVERY_COLUMNS,
    EVENT_COLUMNS,
    FORGOTTEN,
    day_of,
    delivery_record,
    event_record,
    plain,
)
from notifier.storage.feed import person_letters
from notifier.storage.lookup import EventRecord

#: Deliveries on one page of an event.
PAGE = 1000
_DAY, _WEEK, _MONTHS = timedelta(days=1), timedelta(days=8), timedelta(days=60)
_DELIVERIES = f"SELECT DISTINCT ON (id) {', '.join(DELIVERY_COLUMNS)} FROM notifier.deliveries "  # noqa: S608 - ours
#: An id may be there for two days: the same event, published again when Redis had forgotten it.
_BY_ID = _DELIVERIES + "WHERE id = ANY(%s) AND day >= %s AND day < %s ORDER BY id, day DESC"
_EVENT = (
    f"SELECT {', '.join(EVENT_COLUMNS)} FROM notifier.events "  # noqa: S608 - ours
    "WHERE key = %s AND day >= %s AND day < %s ORDER BY day DESC LIMIT 1"
)
_IDS_OF_EVENT = (
    "SELECT DISTINCT id FROM notifier.deliveries WHERE event = %s AND day >= %s ORDER BY id LIMIT %s OFFSET %s"
)
_WHOSE = "WHERE (person = ANY(%s) OR id = ANY(%s)) AND destination <> %s"
_COUNT = f"SELECT count(*) FROM notifier.deliveries {_WHOSE}"  # noqa: S608 - ours
#: As `lua/forget.lua`: that something was sent and when stays, to whom and what was answered goes.
_FORGET = f"""
UPDATE notifier.deliveries SET destination = '{FORGOTTEN}', person = '',
    reason = CASE reason WHEN '' THEN '' ELSE '{FORGOTTEN}' END,
    attempts = (
        SELECT coalesce(jsonb_agg(attempt || '{{"reply": ""}}' ORDER BY place), '[]')
        FROM jsonb_array_elements(attempts) WITH ORDINALITY AS made (attempt, place)
    )
{_WHOSE}
"""  # noqa: S608 - ours


class HistoryReader:
    """May be shared by threads, which take turns. Raises `HistoryUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def deliveries(self, ids: Sequence[str], since: float | None = None) -> dict[str, DeliveryRecord]:
        """Those that are there, by id. ``since``, when none of them was queued before, spares looking at older days."""
        if not ids:
            return {}
        wanted, found = {plain(i) for i in ids}, dict[str, DeliveryRecord]()
        with self._database.session() as session:
            for first, end in _spans(since):
                rows = _rows(session, _BY_ID, [list(wanted - found.keys()), first, end])
                found |= {row["id"]: delivery_record(row) for row in rows}
                if len(found) == len(wanted):
                    break
        return found

    def event(self, key: str, page: int = 0) -> EventRecord | None:
        """One event with a page of its deliveries' ids."""
        with self._database.session() as session:
            found: list[dict[str, Any]] = []
            for span in _spans(None):
                found = found or _rows(session, _EVENT, [plain(key), *span])
            if not found:
                return None
            first = day_of(found[0]["received"].timestamp()) - _DAY
            rows = _rows(session, _IDS_OF_EVENT, [plain(key), first, PAGE + 1, page * PAGE])
        ids = [row["id"] for row in rows]
        return event_record(found[0], ids[:PAGE], page + 1 if len(ids) > PAGE else None)

    def count(self, person_keys: Sequence[str], ids: Sequence[str]) -> int:
        """Deliveries of a person, by `ids.recipient_key` and by id, that are not forgotten yet."""
        with self._database.session() as session:
            (row,) = _rows(session, _COUNT, _whose(person_keys, ids))
        return int(row["count"])

    def forget(self, person_keys: Sequence[str], ids: Sequence[str]) -> int:
        """Erase who got these, after whatever was read before; says of how many. May be repeated."""
        with self._database.session() as session, session.transaction():
            tables.take_lock(session, waits=True)
            return session.execute(_FORGET, _whose(person_keys, ids)).rowcount

    def close(self) -> None:
        """Hang up."""
        self._database.close()


def _rows(session: Session, statement: str, values: Sequence[object]) -> list[dict[str, Any]]:
    with session.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, values).fetchall()


def _whose(person_keys: Sequence[str], ids: Sequence[str]) -> list[object]:
    return [[person_letters(key) for key in person_keys], list(ids), FORGOTTEN]


def _spans(since: float | None) -> list[tuple[date, date]]:
    """Days in the order in which they are looked at: each that is takes PostgreSQL a fifth of a millisecond or more.

    Most that is asked for is new, or near to what names it. From a day before that: clocks of two machines differ, and
    an event is received a moment before it is planned.
    """
    if since is not None:
        first = day_of(since) - _DAY
        return [(first, first + _WEEK), (first + _WEEK, date.max)]
    today = datetime.now(UTC).date()
    week, months = today - _WEEK, today - _MONTHS
    return [(week, date.max), (months, week), (date.min, months)]
