"""Walk a failure queue once: each message is taken, its chosen entries acted on, the rest put at the tail, then acked.

Every step is confirmed before the message it came from is acknowledged, so a crash anywhere repeats work and loses
none; what was already sent again is recognised by the ledger. Written on kombu, so the embedded Redis broker works too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import kombu
import kombu.exceptions
import orjson
from amqp.exceptions import AMQPError, MessageNacked
from celery import Celery

from notifier.domain import topology
from notifier.domain.batch import Batch
from notifier.domain.ids import raw_id
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent, decode_parked
from notifier.errors import BrokerUnavailable, InvalidBatch, PublishRejected

_log = logging.getLogger("notifier.failures")

#: Headers the broker adds when it dead-letters; carried on, they make cycle detection drop the replay (trap T11).
_DEATH_HEADERS = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count")

#: Seconds a publish may wait for its confirm; a broker in alarm must end a replay with an error, not hold it for ever.
CONFIRM_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a failure queue, whatever wrote it."""

    message: ParkedBatch | ParkedEvent
    raw: Any
    """kombu's message, to acknowledge."""


class Visitor(Protocol):
    """What is done with the entries of a walk."""

    def visit(self, parked: Parked) -> bool:
        """Whether this entry is taken out of the queue."""
        ...

    def take(self, channel: Publishing, message: ParkedBatch | ParkedEvent) -> None:
        """Act on a message narrowed to the entries `visit` chose, before it is acknowledged."""
        ...


@dataclass(slots=True)
class Walked:
    """What a walk saw."""

    messages: int = 0
    entries: list[Parked] = field(default_factory=list)
    taken: int = 0


class Publishing:
    """One channel with confirms."""

    def __init__(self, connection: kombu.Connection) -> None:
        self.connection = connection
        self.channel = connection.channel()
        self._producer = kombu.Producer(self.channel)

    def publish(
        self, exchange: str, routing_key: str, body: bytes, *, content_type: str, headers: dict[str, Any]
    ) -> None:
        """Publish one durable message and wait for its confirm."""
        self._producer.publish(
            body,
            exchange=kombu.Exchange(exchange, type="topic", durable=True),
            routing_key=routing_key,
            content_type=content_type,
            # "binary", kombu's word for bytes, is an encoding that intake refuses; these are the bytes as they came.
            content_encoding="utf-8" if content_type == "application/json" else "identity",
            headers=headers,
            delivery_mode=2,
            confirm_timeout=CONFIRM_TIMEOUT_S,
        )


class Redrive:
    """Walks failure queues; one per operator's command."""

    def __init__(self, app: Celery, *, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        self._app = app
        self._progress = progress

    def depths(self) -> dict[str, int]:
        """Messages ready in each failure queue; a queue that does not exist yet has none."""
        with _translated(), self._app.connection_for_read() as connection:
            return {queue: _depth(connection, queue) for queue in topology.FAILURE_QUEUES}

    def walk(self, queue: str, visitor: Visitor) -> Walked:
        """Visit every message that is in the queue now, once; what arrives meanwhile waits for the next walk."""
        seen = Walked()
        with _translated(), self._app.connection_for_write() as connection:
            publishing = Publishing(connection)
            total = _depth(connection, queue)
            for entry in _entries(publishing.channel, queue, total):
                self._visit(publishing, queue, entry, visitor, seen)
                self._progress(seen.messages, total)
        return seen

    def _visit(self, publishing: Publishing, queue: str, entry: Entry, visitor: Visitor, seen: Walked) -> None:
        seen.messages += 1
        chosen: list[Parked] = []
        kept: list[Parked] = []
        for parked in entry.message.parked:
            seen.entries.append(parked)
            (chosen if visitor.visit(parked) else kept).append(parked)
        if chosen:
            visitor.take(publishing, narrowed(entry.message, chosen))
            seen.taken += len(chosen)
        if kept:
            cause = ",".join(sorted({p.cause.value for p in kept}))
            publishing.publish(
                topology.FAILURES_EXCHANGE,
                queue,
                narrowed(entry.message, kept).encode(),
                content_type="application/json",
                headers={"x-notifier-cause": cause},
            )
        entry.raw.ack()


def narrowed(message: ParkedBatch | ParkedEvent, parked: list[Parked]) -> ParkedBatch | ParkedEvent:
    """The same message with only these entries."""
    if isinstance(message, ParkedEvent):
        return ParkedEvent(tuple(parked), message.body, message.content_type, message.headers)
    wanted = {entry.id for entry in parked}
    deliveries = [delivery for delivery in message.batch.deliveries if delivery.id in wanted]
    return ParkedBatch(message.batch.narrowed(deliveries), tuple(parked))


def read_message(queue: str, body: bytes, headers: dict[str, Any], content_type: str) -> ParkedBatch | ParkedEvent:
    """A message of a failure queue: one of ours, or one the broker dead-lettered after its delivery limit."""
    try:
        return decode_parked(body)
    except InvalidBatch:
        return _dead_lettered(queue, body, headers, content_type)


def _dead_lettered(queue: str, body: bytes, headers: dict[str, Any], content_type: str) -> ParkedBatch | ParkedEvent:
    cause, reason = Cause.POISON, "returned by workers until the broker's delivery limit"
    if queue != topology.FAILED_INTAKE:
        try:
            batch = Batch.decode(orjson.loads(body)[0][0])
        except (InvalidBatch, orjson.JSONDecodeError, LookupError, TypeError) as error:
            reason = f"a task message nobody can read: {error}"
        else:
            return ParkedBatch(batch, tuple(_poison(queue, batch, d.id, reason) for d in batch.deliveries))
    kept = {name: value for name, value in headers.items() if not name.startswith(_DEATH_HEADERS)}
    if queue == topology.FAILED_INTAKE and headers.get("x-first-death-reason") == "rejected":
        # Intake copies what it refuses, with the reason; only what is too large to be copied is left to the broker.
        cause, reason = Cause.TOO_LARGE, f"{len(body):,} bytes: larger than an event may be"
    parked = Parked(id=raw_id(body), queue=queue, cause=cause, reason=reason[:300], parked_at=time.time())
    return ParkedEvent((parked,), body, content_type, kept)


def _poison(queue: str, batch: Batch, delivery_id: str, reason: str) -> Parked:
    delivery = next(d for d in batch.deliveries if d.id == delivery_id)
    event = batch.events[delivery.event]
    return Parked(
        id=delivery_id,
        queue=queue,
        cause=Cause.POISON,
        reason=reason,
        parked_at=time.time(),
        event=event.key,
        event_type=event.type,
        tenant=event.tenant,
        rule=delivery.rule,
    )


def _entries(channel: Any, queue: str, total: int) -> Iterator[Entry]:
    for _ in range(total):
        # Not kombu's `Queue.get`: it raises for a message it cannot decompress, and such a one would end every walk.
        got = channel.basic_get(queue=queue, no_ack=False)
        if got is None:
            return
        raw = channel.message_to_python(got)
        body = raw.body if isinstance(raw.body, bytes) else str(raw.body).encode()
        headers = dict(raw.headers or {})
        yield Entry(read_message(queue, body, headers, raw.content_type or ""), raw)


def _depth(connection: kombu.Connection, queue: str) -> int:
    """A fresh channel for each question: asking for a queue that is not there closes the channel (AMQP 404)."""
    channel: Any
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except connection.channel_errors:
            return 0


class _translated:  # noqa: N801 - reads as a verb at its use: `with _translated():`
    """kombu's and py-amqp's errors as ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            return
        if isinstance(error, MessageNacked) or isinstance(error.__cause__, MessageNacked):
            raise PublishRejected("the broker refused the message (queue full)") from error
        if isinstance(error, (kombu.exceptions.KombuError, AMQPError, OSError)):
            raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error
