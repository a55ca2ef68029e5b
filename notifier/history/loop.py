"""`MoverLoop`: one batch after the other until it is told to stop; what it meets on its way is told, never raised."""

from __future__ import annotations

import logging
import threading
import time

from notifier import metrics
from notifier.errors import HistoryUnavailable, StorageUnavailable
from notifier.history.mover import Moved, Mover
from notifier.logs import get, wide
from notifier.storage.feed import Backlog, Feed

_log = get("history")

#: Seconds until the next look when nothing waited, or when another process works.
IDLE_S, STANDBY_S = 1.0, 5.0
#: Seconds after failures in a row.
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
#: Seconds between two looks how much waits.
BACKLOG_EVERY_S = 5.0
#: Seconds without a turn after which only a restart can help: a batch ends, well or badly, before.
STUCK_S = 300.0


class MoverLoop:
    """Of one process."""

    def __init__(self, mover: Mover, feed: Feed) -> None:
        self._mover = mover
        self._feed = feed
        self._failures = 0
        self._works: bool | None = None
        self._given_up: int | None = None
        self._looked = -BACKLOG_EVERY_S
        self._turned = time.monotonic()
        self.fault: str | None = None
        """Why the last batch could not be moved."""

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set; a batch that has begun is ended first."""
        pause = 0.0
        while not stop.wait(pause):
            self._turned = time.monotonic()
            pause = self.turn()

    def turn(self) -> float:
        """One batch; says how many seconds to wait until the next one."""
        try:
            moved = self._mover.move()
            self._tell_backlog()
        except (HistoryUnavailable, StorageUnavailable) as error:
            return self._failed(error)
        if self.fault is not None:
            wide(_log, "history.back", failures=self._failures)
        self.fault, self._failures = None, 0
        self._tell(moved)
        return 0.0 if moved.anything else IDLE_S if moved.works else STANDBY_S

    def silence(self) -> float:
        """Seconds since the last turn began."""
        return time.monotonic() - self._turned

    def _failed(self, error: HistoryUnavailable | StorageUnavailable) -> float:
        away = "postgresql" if isinstance(error, HistoryUnavailable) else "redis"
        metrics.HISTORY_FAILURES.labels(away).inc()
        pause = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._failures += 1
        self.fault = str(error)
        wide(_log, "history.away", level=logging.WARNING, away=away, error=self.fault, again_in_s=pause)
        return pause

    def _tell(self, moved: Moved) -> None:
        if moved.works is not self._works:
            self._works = moved.works
            wide(_log, "history.works" if moved.works else "history.stands_by")
        if moved.anything:
            metrics.HISTORY_MOVED.labels("delivery").inc(moved.deliveries)
            metrics.HISTORY_MOVED.labels("event").inc(moved.events)
            wide(_log, "history.moved", level=logging.DEBUG, deliveries=moved.deliveries, events=moved.events)

    def _tell_backlog(self) -> None:
        if time.monotonic() < self._looked + BACKLOG_EVERY_S:
            return
        self._looked = time.monotonic()
        backlog = self._feed.backlog()
        metrics.HISTORY_WAITING.set(backlog.waiting)
        metrics.HISTORY_LAG.set(max(0.0, time.time() - backlog.since) if backlog.since else 0.0)
        metrics.HISTORY_GIVEN_UP.set(backlog.given_up)
        self._warn_of(backlog)

    def _warn_of(self, backlog: Backlog) -> None:
        before, self._given_up = self._given_up, backlog.given_up
        if before is not None and backlog.given_up > before:
            wide(
                _log,
                "history.given_up",
                level=logging.ERROR,
                now=backlog.given_up - before,
                waiting=backlog.waiting,
                fix="more waited than NOTIFIER_HISTORY_BACKLOG, or for longer than records are kept",
            )
