"""Deliveries of many messages as few tasks: what was put aside one by one is sent again together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from notifier.domain.batch import Batch
from notifier.domain.encoding import EncodedBatch, encode_batch
from notifier.domain.rule import Priority, WorkKind
from notifier.domain.waiting import Waiting, together


@dataclass(frozen=True, slots=True)
class Lot:
    """Deliveries of one message, unread, and the work queue they travel in."""

    channel: WorkKind
    priority: Priority
    shard: int
    waiting: list[Waiting]


def gathered(batches: Iterable[Batch | Lot]) -> list[EncodedBatch]:
    """The same deliveries, each once, in order. A digest's mail, which names many events, stays in its own batch."""
    alone: list[EncodedBatch] = []
    waiting: dict[tuple[WorkKind, Priority, int], dict[str, Waiting]] = defaultdict(dict)
    for batch in batches:
        if isinstance(batch, Batch) and any(delivery.digest is not None for delivery in batch.deliveries):
            alone.append(encode_batch(batch))
            continue
        place = waiting[batch.channel, batch.priority, batch.shard]
        for one in _waiting(batch):
            place.setdefault(one.id, one)
    return [
        *alone,
        *(batch for place, ones in waiting.items() for batch in together(ones.values(), *place)),
    ]


def _waiting(batch: Batch | Lot) -> Iterable[Waiting]:
    if isinstance(batch, Lot):
        return batch.waiting
    return (Waiting.of(delivery, batch.events[delivery.event]) for delivery in batch.deliveries)
