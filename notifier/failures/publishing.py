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
from functools import lru_cache
from typing import Any

import amqp
import kombu
from amqp.exceptions import AMQPError, MessageNacked, RecoverableConnectionError
from celery import Celery

from notifier.broker.faults import translated
from notifier.broker.outgoing import CONFIRM_TIMEOUT_S, parked_in, task_of
from notifier.broker.publisher import TaskPublisher
from notifier.domain import topology
from notifier.domain.encoding import EncodedBatch
from notifier.domain.parked import CAUSE_HEADER, Parked, ParkedBatch, ParkedEvent, causes_of
from notifier.failures.frames import Frames

#: Bytes on their way at most: a broker in alarm does not read, and whoever writes more than its socket takes hangs.
UNCONFIRMED_BYTES = 256 * 1024
#: Bytes that are written together.
_WRITE_BYTES = 32 * 1024
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
        self._unwritten: list[bytes] = []
        self._unwritten_bytes = 0
        self._refused = False
        self._unroutable: AMQPError | None = None
        if self.has_broker:
            # py-amqp's channel, of which kombu's types know the half.
            self.channel.auto_decode = False
            self.channel.confirm_select()
            self.channel.events["basic_ack"].add(self._have_confirmed)
            self.channel.events["basic_nack"].add(self._have_refused)
            self.channel.events["basic_return"].add(self._have_returned)
            self._frames = Frames(self.channel.channel_id, self.channel.connection.frame_max)

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
        # "binary", kombu's word for bytes, is an encoding that intake refuses; these are the bytes as they came.
        encoding = "utf-8" if content_type == "application/json" else "identity"
        # Without kombu's producer, which takes as long again and does nothing else.
        message = self.channel.prepare_message(
            body, priority, content_type, encoding, headers, {"delivery_mode": 2, **properties}
        )
        if self.has_broker:
            self._write(exchange, routing_key, _encoded(message), body)
        else:
            self.channel.basic_publish(message, exchange=exchange, routing_key=routing_key)

    def park(self, place: str, parked: ParkedBatch | ParkedEvent) -> None:
        """Publish what lies, or shall lie, in a failure queue's shelf."""
        self.publish(**parked_in(place, parked))

    def park_again(self, place: str, body: bytes, entries: Sequence[Parked]) -> None:
        """The same for the body of a `ParkedBatch`, as it was."""
        causes = causes_of(entries)
        if self.has_broker:
            self._write(topology.PARKED_EXCHANGE, place, _parked(causes), body)
            return
        headers = {CAUSE_HEADER: causes}
        self.publish(topology.PARKED_EXCHANGE, place, body, content_type="application/json", headers=headers)

    def send(self, batch: EncodedBatch) -> None:
        """Queue a batch for the workers."""
        if self.has_broker:
            self.publish(**task_of(batch, self._origin))
        else:
            TaskPublisher(self._app).send(batch)

    def confirm(self) -> None:
        """Returns when the broker has confirmed all that was published. Raises for what it refused or no queue took."""
        self._flush()
        self._await(0)

    def _write(self, exchange: str, routing_key: str, properties: bytes, body: bytes) -> None:
        if self._bytes + len(body) > UNCONFIRMED_BYTES:
            self._flush()
            self._await(max(0, UNCONFIRMED_BYTES // 2 - len(body)))
        self._published += 1
        self._unconfirmed[self._published] = len(body)
        self._bytes += len(body)
        frames = self._frames.of(exchange, routing_key, properties, body)
        self._unwritten.append(frames)
        self._unwritten_bytes += len(frames)
        if self._unwritten_bytes >= _WRITE_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._unwritten:
            return
        if (connection := self.channel.connection) is None:
            raise RecoverableConnectionError("the connection is closed")
        connection.transport.write(b"".join(self._unwritten))
        self._unwritten, self._unwritten_bytes = [], 0

    def _await(self, most: int) -> None:
        """Until no more than so many bytes are without their confirms."""
        ends = time.monotonic() + CONFIRM_TIMEOUT_S
        while self._unconfirmed and (self._bytes > most or not most):
            self.connection.drain_events(timeout=max(0.001, ends - time.monotonic()))
        if self._unroutable is not None:
            raise self._unroutable
        if self._refused:
            raise MessageNacked

    def _have_confirmed(self, number: int, multiple: bool) -> None:
        for one in self._up_to(number) if multiple else [number]:
            self._bytes -= self._unconfirmed.pop(one, 0)

    def _have_refused(self, number: int, multiple: bool) -> None:
        self._refused = True
        self._have_confirmed(number, multiple)

    def _have_returned(self, error: AMQPError, *_: Any) -> None:
        # Not raised where it is read: the broker's answer to our goodbye may be behind it.
        self._unroutable = error

    def _up_to(self, number: int) -> list[int]:
        named = []
        for one in self._unconfirmed:
            if one > number:
                break
            named.append(one)
        return named


def _encoded(message: Any) -> bytes:
    encoded: bytes = message._serialize_properties()  # noqa: SLF001 - py-amqp shows no other way
    return encoded


@lru_cache(maxsize=64)
def _parked(causes: str) -> bytes:
    """The properties of every `ParkedBatch` with these causes."""
    return _encoded(
        amqp.Message(
            priority=topology.TASK_PRIORITY,
            content_type="application/json",
            content_encoding="utf-8",
            application_headers={CAUSE_HEADER: causes},
            delivery_mode=2,
        )
    )
