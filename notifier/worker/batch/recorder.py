"""Group commit: outcomes of all running batches are written to the ledger together, every few milliseconds.

A mail that left is recorded within `FLUSH_AFTER_S`, also while the rest of its batch is still being sent, so a kill
loses at most those milliseconds of records; and a busy worker pays one Redis round trip for many outcomes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import gevent
from gevent.event import Event as Signal

from notifier.storage.ledger import Record
from notifier.worker.outage import retry_while_down

#: Seconds outcomes wait for company. 3 ms gathers tens of outcomes under load and is invisible beside an ack.
FLUSH_AFTER_S = 0.003
#: Records in one pipeline; more only makes Redis answer others later.
FLUSH_MOST = 500


class _RecordsLedger(Protocol):
    """What the recorder needs of the ledger."""

    def record(self, records: Sequence[Record]) -> list[bool]:
        """Write outcomes."""

    def mark_leaving(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        """Write that mails are about to leave."""


class Receipt:
    """What one batch waits for: all of its records are in the ledger."""

    __slots__ = ("_done", "_missing", "stale")

    def __init__(self, records: int) -> None:
        self._missing = records
        self._done = Signal()
        self.stale: set[str] = set()
        """Deliveries somebody else had taken over meanwhile; their record stands, ours does not."""
        if records == 0:
            self._done.set()

    def tick(self, delivery: str, written: bool) -> None:
        """One record was flushed; called on the hub's thread only."""
        if not written:
            self.stale.add(delivery)
        self._missing -= 1
        if self._missing <= 0:
            self._done.set()

    def excuse(self, records: int) -> None:
        """Wait for so many fewer; called on the hub's thread only."""
        self._missing -= records
        if self._missing <= 0:
            self._done.set()

    def wait(self) -> None:
        """Until every record of the batch is written."""
        self._done.wait()


class Recorder:
    """One greenlet that writes what every batch hands in, from any thread."""

    def __init__(self, ledger: _RecordsLedger) -> None:
        self._ledger = ledger
        self._records: deque[tuple[Record, Receipt]] = deque()
        self._marks: deque[tuple[str, int, Callable[[bool], None]]] = deque()
        self._wanted = Signal()
        self._called = False
        self._watcher = gevent.get_hub().loop.async_()
        self._watcher.start(self._wanted.set)
        self._greenlet = gevent.spawn(self._run)
        self._stopping = False

    def submit(self, record: Record, receipt: Receipt) -> None:
        """Queue one record; thread-safe, never blocks."""
        self._records.append((record, receipt))
        self._call()

    def mark(self, delivery: str, fence: int, marked: Callable[[bool], None]) -> None:
        """Note that a delivery is about to leave, then say whether the claim still held (on the hub's thread)."""
        self._marks.append((delivery, fence, marked))
        self._call()

    def stop(self) -> None:
        """Write what is queued, then end."""
        self._stopping = True
        self._wanted.set()
        self._greenlet.join()
        self._watcher.stop()
        self._watcher.close()

    def _call(self) -> None:
        # Waking the hub takes the GIL from the engine, so a greenlet that has been called is not called again. What is
        # appended before `_run` lowers the flag is seen by the flush that follows; what comes after calls anew.
        if not self._called:
            self._called = True
            self._watcher.send()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            self._flush_marks()
            if self._records and not self._stopping:
                gevent.sleep(FLUSH_AFTER_S)
            self._called = False
            self._flush_marks()
            while self._records:
                self._flush_records()
            if self._stopping and not self._records and not self._marks:
                return

    def _flush_records(self) -> None:
        group = [self._records.popleft() for _ in range(min(len(self._records), FLUSH_MOST))]
        records = [record for record, _ in group]
        written = retry_while_down(lambda: self._ledger.record(records), "record outcomes")
        for (record, receipt), was_written in zip(group, written, strict=True):
            receipt.tick(record.id, was_written)

    def _flush_marks(self) -> None:
        group = [self._marks.popleft() for _ in range(len(self._marks))]
        if not group:
            return
        pairs = [(delivery, fence) for delivery, fence, _ in group]
        held = retry_while_down(lambda: self._ledger.mark_leaving(pairs), "mark leaving")
        for (_, _, marked), still_ours in zip(group, held, strict=True):
            marked(still_ours)


def now() -> float:
    """Unix seconds; the one clock of the worker."""
    return time.time()
