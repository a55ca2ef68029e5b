"""`Publishing`: what a walk publishes, many messages at a time; `confirm` returns when the broker has all of them.

A confirm of a quorum queue takes milliseconds, and as long for one message as for hundreds.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import kombu
from amqp.exceptions import MessageNacked
from celery import Celery

from notifier.broker.faults import translated
from notifier.broker.publisher import TaskPublisher
from notifier.domain import topology
from notifier.domain.encoding import EncodedBatch
from notifier.domain.parked import CAUSE_HEADER, Parked, ParkedBatch, ParkedEvent, as_message, causes_of
from notifier.domain.task_message import CONTENT_TYPE, task_message

#: Seconds confirms are waited for; a broker in alarm must end a replay with an error, not block it for ever.
CONFIRM_TIMEOUT_S = 30.0
#: Bytes on their way at most: a broker in alarm does not read, and whoever writes more than its socket takes hangs.
UNCONFIRMED_BYTES = 256 * 1024
#: py-amqp would wait for the confirm of each message.
_TRANSPORT_OPTIONS = {"confirm_publish": False, "write_timeout": CONFIRM_TIMEOUT_S}


@contextmanager
def opened(app: Celery) -> Iterator[Publishing]:
    """A `Publishing` on a connection of its own, and all confirmed in the end. Raises `BrokerUnavailable`."""
    with (
        translated("walk the failure queues"),
        app.connection_for_write(transport_options=_TRANSPORT_OPTIONS) as connection,
    ):
        publishing = Publishing(app, connection)
        yield publishing
        publishing.confirm()


class Publishing:
    """One channel with confirms."""

    def __init__(self, app: Celery, connection: kombu.Connection) -> None:
        self.connection = connection
        channel: Any = connection.channel()
        self.channel = channel
        self.has_broker = connection.transport.driver_type == "amqp"
        """RabbitMQ; embedded in one process, Redis has a message when publishing returns."""
        self._app = app
        self._origin = f"walk-{os.getpid()}@{socket.gethostname()}"
        self._published = 0
        self._unconfirmed: dict[int, int] = {}
        """Number of a publish → bytes, in order."""
        self._bytes = 0
        self._refused = False
        if self.has_broker:
            # py-amqp's channel, of which kombu's types know the half.
            self.channel.confirm_select()
            self.channel.events["basic_ack"].add(self._have_confirmed)
            self.channel.events["basic_nack"].add(self._have_refused)

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        content_type: str,
        headers: dict[str, Any],
        priority: int = topology.TASK_PRIORITY,
        published: float | None = None,
        **properties: Any,
    ) -> None:
        """Publish one durable message, to be confirmed; ``published`` is when it first was, if it counts."""
        if published is not None:
            properties["timestamp"] = math.ceil(published)
        if self._bytes + len(body) > UNCONFIRMED_BYTES:
            self.confirm()
        if self.has_broker:
            self._published += 1
            self._unconfirmed[self._published] = len(body)
            self._bytes += len(body)
        # "binary", kombu's word for bytes, is an encoding that intake refuses; these are the bytes as they came.
        encoding = "utf-8" if content_type == "application/json" else "identity"
        # Without kombu's producer, which takes as long again and does nothing else.
        message = self.channel.prepare_message(
            body, priority, content_type, encoding, headers, {"delivery_mode": 2, **properties}
        )
        self.channel.basic_publish(message, exchange=exchange, routing_key=routing_key)

    def park(self, queue: str, parked: ParkedBatch | ParkedEvent) -> None:
        """Publish what lies, or shall lie, in a failure queue."""
        message = as_message(parked)
        self.publish(
            topology.PARKED_EXCHANGE, queue, message.body, content_type=message.content_type, headers=message.headers
        )

    def park_again(self, queue: str, body: bytes, entries: Sequence[Parked]) -> None:
        """The same for the body of a `ParkedBatch`, as it was."""
        headers = {CAUSE_HEADER: causes_of(entries)}
        self.publish(topology.PARKED_EXCHANGE, queue, body, content_type="application/json", headers=headers)

    def send(self, batch: EncodedBatch) -> None:
        """Queue a batch for the workers."""
        if not self.has_broker:
            TaskPublisher(self._app).send(batch)
            return
        message = task_message(batch, self._origin)
        self.publish(
            topology.TASKS_EXCHANGE,
            batch.queue,
            message.body,
            content_type=CONTENT_TYPE,
            headers=message.headers,
            correlation_id=message.id,
            reply_to="",
        )

    def confirm(self) -> None:
        """Returns when the broker has confirmed all that was published. Raises `MessageNacked` if it refused any."""
        ends = time.monotonic() + CONFIRM_TIMEOUT_S
        while self._unconfirmed:
            self.connection.drain_events(timeout=max(0.001, ends - time.monotonic()))
        if self._refused:
            raise MessageNacked

    def _have_confirmed(self, number: int, multiple: bool) -> None:
        for one in self._up_to(number) if multiple else [number]:
            self._bytes -= self._unconfirmed.pop(one, 0)

    def _have_refused(self, number: int, multiple: bool) -> None:
        self._refused = True
        self._have_confirmed(number, multiple)

    def _up_to(self, number: int) -> list[int]:
        return [one for one in self._unconfirmed if one <= number]
