"""Batches as the JSON that travels; `Batch.decode` reads it. pydantic and kombu would take three times as long."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from pydantic import BaseModel

from notifier.domain.batch import SCHEMA_VERSION, Batch
from notifier.domain.delivery import Delivery
from notifier.domain.rule import Priority, WorkKind, queue_name


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """A `Batch` as the JSON that travels; `Batch.decode` reads it."""

    channel: WorkKind
    priority: Priority
    deliveries: int
    body: bytes
    shard: int = 0

    @property
    def queue(self) -> str:
        """The work queue it travels in."""
        return queue_name(self.channel, self.priority, self.shard)


def encode_batch(batch: Batch) -> EncodedBatch:
    """The whole of it."""
    events = [orjson.Fragment(event.encoded) for event in batch.events]
    deliveries = [orjson.Fragment(encode_delivery(delivery, delivery.event)) for delivery in batch.deliveries]
    return join_parts(batch.channel, batch.priority, batch.shard, events, deliveries)


def join_parts(
    channel: WorkKind,
    priority: Priority,
    shard: int,
    events: list[orjson.Fragment],
    deliveries: list[orjson.Fragment],
) -> EncodedBatch:
    """The same, of what is encoded already."""
    body = orjson.dumps(
        {
            "v": SCHEMA_VERSION,
            "channel": channel.value,
            "priority": priority.value,
            **({"shard": shard} if shard else {}),
            "events": events,
            "deliveries": deliveries,
        }
    )
    return EncodedBatch(channel, priority, len(deliveries), body, shard)


def encode_delivery(delivery: Delivery, place: int) -> bytes:
    """A delivery as it lies in a batch, naming its event by place; what has its default value is left out."""
    return at_place(encode_unplaced(delivery), place)


def encode_unplaced(delivery: Delivery) -> bytes:
    """The same without its event, for `at_place`."""
    fields = _without_defaults(delivery)
    del fields["event"]
    return orjson.dumps(fields, default=_without_defaults)


def at_place(unplaced: bytes, place: int) -> bytes:
    """A delivery's JSON object with the place of its event."""
    return b'{"event":%d,%b' % (place, unplaced[1:])


def _without_defaults(part: BaseModel) -> dict[str, Any]:
    """``model_dump(exclude_defaults=True)``, whose general way takes three times as long; orjson asks for each part."""
    defaults = _defaults(type(part))
    return {name: value for name, value in part.__dict__.items() if name not in defaults or value != defaults[name]}


@cache
def _defaults(kind: type[BaseModel]) -> dict[str, Any]:
    return {name: field.default for name, field in kind.model_fields.items() if not field.is_required()}
