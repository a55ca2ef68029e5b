"""Deliveries of many messages as few tasks: what was put aside one by one is sent again together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from notifier.domain.batch import Batch
from notifier.domain.encoding import EncodedBatch, encode_batch
from notifier.domain.rule import Priority, WorkKind
from notifier.domain.waiting import Waiting, together


def gathered(batches: Iterable[Batch]) -> list[EncodedBatch]:
    """The same deliveries, each once, in order. A digest's mail, which names many events, stays in its own batch."""
    alone: list[EncodedBatch] = []
    waiting: dict[tuple[WorkKind, Priority, int], dict[str, Waiting]] = defaultdict(dict)
    for batch in batches:
        if any(delivery.digest is not None for delivery in batch.deliveries):
            alone.append(encode_batch(batch))
            continue
        place = waiting[batch.channel, batch.priority, batch.shard]
        for delivery in batch.deliveries:
            place.setdefault(delivery.id, Waiting.of(delivery, batch.events[delivery.event]))
    return [
        *alone,
        *(batch for place, ones in waiting.items() for batch in together(ones.values(), *place)),
    ]
