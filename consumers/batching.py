"""Planned deliveries → batches: one per work queue, cut by number and by bytes, each event once per batch.

Batches are assembled from JSON fragments: an event that goes into three of them is encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from notifier.domain.batch import MAX_BYTES, MAX_DELIVERIES
from notifier.domain.encoding import EncodedBatch, encode_delivery, join_parts
from notifier.domain.event import Event
from notifier.domain.rule import Priority, WorkKind
from notifier.domain.trimming import trimmed
from notifier.rules.planner import Planned

#: An event's key, and what of its data is left out: two rules may leave out different parts.
_EventKey = tuple[str, tuple[str, ...]]


@dataclass(slots=True)
class _Open:
    """A batch that still takes deliveries."""

    places: dict[_EventKey, int] = field(default_factory=dict)
    """Event → its place in ``events``."""
    events: list[orjson.Fragment] = field(default_factory=list)
    deliveries: list[orjson.Fragment] = field(default_factory=list)
    size: int = 0


_Queue = tuple[WorkKind, Priority, int]
#: Kind, priority and tenant of one delivery → its shard: `domain.fairness.TenantShares.shard`.
Shard = Callable[[WorkKind, Priority, str], int]


class Batcher:
    """Collects the deliveries of one group of events and cuts them into batches."""

    def __init__(
        self,
        max_deliveries: int = MAX_DELIVERIES,
        max_bytes: int = MAX_BYTES,
        shard: Shard = lambda channel, priority, tenant: 0,
    ) -> None:
        self._max_deliveries = max_deliveries
        self._max_bytes = max_bytes
        self._shard = shard
        self._open: dict[_Queue, _Open] = {}
        self._closed: list[EncodedBatch] = []

    def add(self, event: Event, planned: Iterable[Planned]) -> None:
        """Put deliveries of one event into batches."""
        encoded: dict[tuple[str, ...], bytes] = {}
        for entry in planned:
            omit = entry.rule.omit
            if omit not in encoded:
                encoded[omit] = (trimmed(event, omit) if omit else event).encoded
            channel, priority = entry.rule.kind, entry.rule.priority
            queue = (channel, priority, self._shard(channel, priority, event.tenant))
            self._place(queue, (event.key, omit), encoded[omit], entry)

    def batches(self) -> Iterator[EncodedBatch]:
        """Everything added so far."""
        for queue in list(self._open):
            self._close(queue)
        closed, self._closed = self._closed, []
        yield from closed

    def _place(self, queue: _Queue, key: _EventKey, event: bytes, planned: Planned) -> None:
        batch = self._open.setdefault(queue, _Open())
        place = batch.places.get(key)
        delivery = encode_delivery(planned.delivery, len(batch.events) if place is None else place)
        grows = len(delivery) + (len(event) if place is None else 0)
        # Bytes keep further events out, not further deliveries of one that is in: for them it would be copied again.
        is_full = place is None and batch.size + grows > self._max_bytes
        if batch.deliveries and (len(batch.deliveries) >= self._max_deliveries or is_full):
            self._close(queue)
            self._place(queue, key, event, planned)
            return
        if place is None:
            batch.places[key] = len(batch.events)
            batch.events.append(orjson.Fragment(event))
        batch.deliveries.append(orjson.Fragment(delivery))
        batch.size += grows

    def _close(self, queue: _Queue) -> None:
        batch = self._open.pop(queue)
        channel, priority, shard = queue
        self._closed.append(join_parts(channel, priority, shard, batch.events, batch.deliveries))
