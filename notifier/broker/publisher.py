"""What follows a try: retries and parks, published with confirms before the batch they come from is acknowledged."""

from __future__ import annotations

import json
import os
import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Protocol

from amqp.exceptions import MessageNacked
from celery import Celery

from notifier.broker.alarm import ALARM
from notifier.broker.faults import translated
from notifier.broker.outgoing import CONFIRM_TIMEOUT_S, parked_in, task_of
from notifier.domain import topology
from notifier.domain.batch import Batch, task_name
from notifier.domain.delivery import Delivery
from notifier.domain.encoding import EncodedBatch, encode_batch
from notifier.domain.json_text import read_written
from notifier.domain.parked import Parked, ParkedBatch, shelved
from notifier.domain.task_message import CONTENT_ENCODING


class Publishes(Protocol):
    """The broker as the worker sees it."""

    def send(self, batch: Batch | EncodedBatch, *, after: int = 0) -> None:
        """Queue a batch, after some whole seconds."""

    def park(self, place: str, parked: ParkedBatch) -> None:
        """Put deliveries into a failure queue's shelf."""

    def publish_event(self, event: Mapping[str, Any]) -> None:
        """Publish an event of our own."""


class TaskPublisher:
    """Publishes batches, parks and events through Celery's producer pool; returns when the broker has confirmed.

    Raises `BrokerUnavailable` when it cannot be reached and `PublishRejected` when it refused (a full queue).
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._origin = f"worker-{os.getpid()}@{socket.gethostname()}"

    def send(self, batch: Batch | EncodedBatch, *, after: int = 0) -> None:
        """Queue a batch, delayed in the broker by ``after`` whole seconds."""
        encoded = encode_batch(batch) if isinstance(batch, Batch) else batch
        if self._has_broker:
            self.publish(**task_of(encoded, self._origin, after))
            return
        with translated("publish"):
            self._app.send_task(
                task_name(encoded.channel),
                args=[Batch.decode(read_written(encoded.body)).encode()],
                queue=encoded.queue,
                countdown=after or None,
                # Never the arguments: Celery logs and events show this text (trap T46).
                argsrepr=f"({encoded.deliveries} deliveries)",
                retry=False,
                ignore_result=True,
            )

    @cached_property
    def _has_broker(self) -> bool:
        """RabbitMQ; embedded in one process, Redis carries the tasks, and Celery delays them by itself."""
        return bool(self._app.connection_for_write().transport.driver_type == "amqp")

    def park(self, place: str, parked: ParkedBatch) -> None:
        """Put deliveries into a failure queue's shelf."""
        self.publish(**parked_in(place, parked))

    def publish_event(self, event: Mapping[str, Any]) -> None:
        """Publish an event of our own, such as ``notifier.endpoint.disabled``, for whoever has a rule for it."""
        body = json.dumps(event).encode()
        self.publish(
            topology.EVENTS_EXCHANGE,
            str(event["type"]),
            body,
            content_type="application/cloudevents+json",
            headers={},
            priority=topology.EVENT_PRIORITY,
        )

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        content_type: str,
        headers: dict[str, Any],
        priority: int = topology.TASK_PRIORITY,
        **properties: Any,
    ) -> None:
        """Publish one durable message and wait for its confirm."""
        with translated("publish"), self._app.producer_pool.acquire(block=True, timeout=5) as producer:
            try:
                producer.publish(
                    body,
                    exchange=exchange,
                    routing_key=routing_key,
                    content_type=content_type,
                    content_encoding=CONTENT_ENCODING,
                    headers=headers,
                    delivery_mode=2,
                    priority=priority,
                    confirm_timeout=CONFIRM_TIMEOUT_S,
                    **properties,
                )
            except (TimeoutError, MessageNacked):
                # py-amqp takes any confirm for the one it waits for: of this one, should it still come, the next
                # message on this channel would believe that it has arrived. And a channel that was refused once may
                # refuse for ever (`client.silence.Stall`).
                if self._has_broker:
                    _hang_up(producer)
                raise
        # On a connection that was made since, nobody would say that it is over.
        ALARM.end()


def _hang_up(producer: Any) -> None:
    """py-amqp's connection, not kombu's, which says goodbye and waits; the pool makes another when it is needed."""
    if (connection := producer.channel.connection) is not None:
        connection.collect()


def by_delay(batch: Batch, waits: Iterable[tuple[Delivery, int]]) -> list[tuple[int, Batch]]:
    """Deliveries that share a delay, together again, as (seconds, batch)."""
    groups: dict[int, list[Delivery]] = defaultdict(list)
    for delivery, seconds in waits:
        groups[max(1, seconds)].append(delivery)
    return [(seconds, batch.narrowed(deliveries)) for seconds, deliveries in sorted(groups.items())]


def by_shelf(batch: Batch, parks: Iterable[tuple[Delivery, Parked]]) -> list[tuple[str, ParkedBatch]]:
    """Parked deliveries grouped by failure queue, each group with the shelf it is put on."""
    groups: dict[str, list[tuple[Delivery, Parked]]] = defaultdict(list)
    for delivery, parked in parks:
        groups[parked.queue].append((delivery, parked))
    found = []
    for group in groups.values():
        message = shelved(ParkedBatch(batch.narrowed([d for d, _ in group]), tuple(p for _, p in group)))
        found.append((message.parked[0].place, message))
    return found
