"""`Mover`: takes what ended from Redis to PostgreSQL, batch by batch; of many, one works at a time.

A batch is read and written in one transaction under the lock, and taken from the feed after its commit: killed anywhere
in between, it is moved again, over itself. Records stay in Redis for as long as they would without a history.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

from notifier import metrics
from notifier.domain.delivery import OPEN
from notifier.domain.event_status import EventStatus
from notifier.errors import HistoryUnavailable
from notifier.history import tables
from notifier.history.database import Database, Session
from notifier.history.rows import Row, day_of, delivery_row, event_row
from notifier.logs import get, wide
from notifier.storage.feed import Ended, Feed, Waiting
from notifier.storage.ledger import Ledger

_log = get("history")

#: Seconds after which what an entry names has ended. Its note is written first, and a worker that stands still between
#: two round trips to Redis ends it only when it goes on.
SETTLED_S = 10.0
#: Seconds between two looks whether there are days to make or to drop.
DAYS_EVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class Moved:
    """What one batch was."""

    deliveries: int = 0
    events: int = 0
    works: bool = True
    """False: another process does."""

    @property
    def anything(self) -> bool:
        """Whether there may be more at once."""
        return bool(self.deliveries or self.events)


class Mover:
    """Of one process, on one thread. Raises `HistoryUnavailable` or `StorageUnavailable`; nothing is lost by that."""

    def __init__(
        self,
        feed: Feed,
        ledger: Ledger,
        database: Database,
        *,
        keep: float,
        settled: float = SETTLED_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._feed = feed
        self._ledger = ledger
        self._database = database
        self._keep = timedelta(seconds=keep)
        self._settled = settled
        self._clock = clock
        self._days: set[date] = set()
        self._look_at_days = 0.0

    def move(self) -> Moved:
        """One batch."""
        try:
            with self._database.session() as session:
                with session.transaction():
                    if not tables.take_lock(session):
                        return Moved(works=False)
                    looks = self._feed.look(self._settled)
                    moved = self._write(session, looks)
                # After the commit, before which a kill would lose it.
                if looks:
                    self._feed.remove(looks)
                self._keep_days(session)
        except HistoryUnavailable:
            # Somebody may have taken them away.
            self._days.clear()
            raise
        return moved

    def _write(self, session: Session, looks: Sequence[Waiting]) -> Moved:
        ended = _once(looks)
        deliveries = self._delivery_rows([one for one in ended if not one.is_event])
        events = self._event_rows([one.id for one in ended if one.is_event])
        self._make_days(session, {row[0] for row in (*deliveries, *events)} | tables.days_ahead(self._today()))
        return Moved(tables.write(session, tables.DELIVERIES, deliveries), tables.write(session, tables.EVENTS, events))

    def _delivery_rows(self, ended: Sequence[Ended]) -> list[Row]:
        if not ended:
            return []
        records = self._ledger.deliveries([one.id for one in ended])
        metrics.HISTORY_MISSED.labels("delivery").inc(records.count(None))
        # What is on its way again, by a replay, is noted once more when that has ended.
        return self._rows(
            (record.id, partial(delivery_row, record, one.person))
            for one, record in zip(ended, records, strict=True)
            if record is not None and record.status not in OPEN
        )

    def _event_rows(self, keys: Sequence[str]) -> list[Row]:
        if not keys:
            return []
        events = self._ledger.events(keys)
        metrics.HISTORY_MISSED.labels("event").inc(events.count(None))
        return self._rows(
            (event.key, partial(event_row, event))
            for event in events
            if event is not None and event.status is not EventStatus.PLANNING
        )

    def _rows(self, makers: Iterable[tuple[str, Callable[[], Row]]]) -> list[Row]:
        """Without what is older than the history keeps it."""
        rows = []
        oldest = self._oldest()
        for name, make in makers:
            try:
                row = make()
            except (ValueError, OverflowError) as error:
                wide(_log, "history.unreadable", level=logging.ERROR, id=name, error=str(error))
                continue
            if row[0] >= oldest:
                rows.append(row)
        return rows

    def _make_days(self, session: Session, wanted: set[date]) -> None:
        if missing := wanted - self._days:
            tables.make_days(session, missing)
            self._days |= missing

    def _keep_days(self, session: Session) -> None:
        """Dropping waits for whoever reads such a day; then it is for the next time, and moving goes on."""
        if self._clock() < self._look_at_days:
            return
        self._look_at_days = self._clock() + DAYS_EVERY_S
        with session.transaction():
            if tables.take_lock(session) and (dropped := tables.drop_days(session, self._oldest())):
                self._days = {day for day in self._days if day >= self._oldest()}
                wide(_log, "history.days_dropped", partitions=dropped, before=str(self._oldest()))

    def _today(self) -> date:
        return day_of(self._clock())

    def _oldest(self) -> date:
        return self._today() - self._keep


def _once(looks: Sequence[Waiting]) -> list[Ended]:
    """Several streams may name the same delivery."""
    found: dict[str, Ended] = {}
    for one in (one for look in looks for one in look.ended):
        if one.person or one.id not in found:
            found[one.id] = one
    return list(found.values())
