"""Batches as the JSON that travels; `Batch.decode` reads it. pydantic and kombu would take three times as long."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from pydantic import BaseModel

from notifier.domain.batch import SCHEMA_VERSION, Batch
from notifier.domain.delivery import Delivery
from notifier.domain.rule import Channel, Priority


def encode_batch(batch: Batch) -> bytes:
    """The whole of it."""
    events = [orjson.Fragment(event.encoded) for event in batch.events]
    deliveries = [orjson.Fragment(encode_delivery(delivery, delivery.event)) for delivery in batch.deliveries]
    return encode_parts(batch.channel, batch.priority, batch.shard, events, deliveries)


def encode_parts(
    channel: Channel,
    priority: Priority,
    shard: int,
    events: list[orjson.Fragment],
    deliveries: list[orjson.Fragment],
) -> bytes:
    """The same, of what is encoded already."""
    return orjson.dumps(
        {
            "v": SCHEMA_VERSION,
            "channel": channel.value,
            "priority": priority.value,
            **({"shard": shard} if shard else {}),
            "events": events,
            "deliveries": deliveries,
        }
    )


def encode_delivery(delivery: Delivery, place: int) -> bytes:
    """A delivery as it lies in a batch, naming its event by place; what has its default value is left out."""
    return orjson.dumps({**_without_defaults(delivery), "event": place}, default=_without_defaults)


def _without_defaults(part: BaseModel) -> dict[str, Any]:
    """``model_dump(exclude_defaults=True)``, whose general way takes three times as long; orjson asks for each part."""
    defaults = _defaults(type(part))
    return {name: value for name, value in part.__dict__.items() if name not in defaults or value != defaults[name]}


@cache
def _defaults(kind: type[BaseModel]) -> dict[str, Any]:
    return {name: field.default for name, field in kind.model_fields.items() if not field.is_required()}
