"""`Lookup`: what became of something, from the ledger, and where that has no record any more, from the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from notifier.domain.delivery import DeliveryRecord
from notifier.errors import HistoryUnavailable
from notifier.storage.ledger import EventRecord, Ledger

if TYPE_CHECKING:
    from notifier.history.reader import HistoryReader


@dataclass(frozen=True, slots=True)
class Found:
    """Deliveries of a page of an event."""

    records: tuple[DeliveryRecord, ...]
    missing: str = ""
    """Why there may be more than these: the history could not be asked."""


class Lookup:
    """PostgreSQL is asked only for what Redis has not. Raises `StorageUnavailable`, and `HistoryUnavailable` then."""

    def __init__(self, ledger: Ledger, history: HistoryReader | None) -> None:
        self._ledger = ledger
        self._history = history

    def delivery(self, delivery_id: str) -> DeliveryRecord | None:
        """None when neither knows it."""
        (record,) = self._ledger.deliveries([delivery_id])
        if record is None and self._history is not None:
            return self._history.deliveries([delivery_id]).get(delivery_id)
        return record

    def event(self, key: str, page: int = 0) -> EventRecord | None:
        """One event with a page of its deliveries' ids; None when neither knows it."""
        found = self._ledger.event(key, page)
        if found is None and self._history is not None:
            return self._history.event(key, page)
        return found

    def deliveries_of(self, event: EventRecord) -> Found:
        """The records of the ids in it. What the ledger has is told also when the history cannot be asked."""
        known = dict(zip(event.deliveries, self._ledger.deliveries(event.deliveries), strict=True))
        absent = [i for i, record in known.items() if record is None]
        missing = ""
        if absent and self._history is not None:
            try:
                known |= self._history.deliveries(absent, since=event.received)
            except HistoryUnavailable as error:
                missing = f"{len(absent)} more may be in the history, which cannot be asked now: {error}"
        return Found(_in_order(event.deliveries, known), missing)


def _in_order(ids: Sequence[str], known: dict[str, DeliveryRecord | None]) -> tuple[DeliveryRecord, ...]:
    return tuple(record for i in ids if (record := known[i]) is not None)
