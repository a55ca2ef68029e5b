"""`DurableMessage`: what is published for a batch or for what is parked, whoever publishes it and however.

A worker publishes one and waits (`publisher`); a walk publishes hundreds and then waits (`failures.publishing`). Both
take these words.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from kombu.transport.native_delayed_delivery import calculate_routing_key, level_name

from notifier.domain import topology
from notifier.domain.encoding import EncodedBatch
from notifier.domain.parked import ParkedBatch, ParkedEvent, as_message
from notifier.domain.task_message import CONTENT_TYPE, task_message

#: Seconds a confirm is waited for; longer is a broker in alarm.
CONFIRM_TIMEOUT_S = 30.0


class DurableMessage(TypedDict):
    """A message and where it goes."""

    exchange: str
    routing_key: str
    body: bytes
    content_type: str
    headers: dict[str, Any]
    correlation_id: NotRequired[str]
    reply_to: NotRequired[str]


def task_of(batch: EncodedBatch, origin: str, after: int = 0) -> DurableMessage:
    """For the workers, delayed in the broker by ``after`` whole seconds."""
    message = task_message(batch, origin)
    exchange, routing_key = topology.TASKS_EXCHANGE, batch.queue
    if after:
        # Celery begins at level 27; each level down to the first whose bit is set is one more exchange to pass:
        # 1.8 ms of the broker's CPU for a minute's delay, 0.3 from where the first wait is.
        exchange, routing_key = level_name(after.bit_length() - 1), calculate_routing_key(after, routing_key)
    return {
        "exchange": exchange,
        "routing_key": routing_key,
        "body": message.body,
        "content_type": CONTENT_TYPE,
        "headers": message.headers,
        "correlation_id": message.id,
        "reply_to": "",
    }


def parked_in(place: str, parked: ParkedBatch | ParkedEvent) -> DurableMessage:
    """For a failure queue's shelf, or whatever queue of ours keeps it."""
    message = as_message(parked)
    return {
        "exchange": topology.PARKED_EXCHANGE,
        "routing_key": place,
        "body": message.body,
        "content_type": message.content_type,
        "headers": message.headers,
    }
