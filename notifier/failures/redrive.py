"""Walk a failure queue once: each message is taken, its chosen entries acted on, the rest put at the tail, then acked.

Every step is confirmed before the message it came from is acknowledged, so a crash anywhere repeats work and loses
none; what was already sent again is recognised by the ledger. Written on kombu, so the embedded Redis broker works too.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import kombu
from celery import Celery

from notifier.broker.faults import translated
from notifier.domain import topology
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent, as_message
from notifier.failures.dead_letters import DeadLetter, DeadLetters
from notifier.failures.reading import read_message

_log = logging.getLogger("notifier.failures")

#: Seconds a publish may wait for its confirm; a broker in alarm must end a replay with an error, not block it for ever.
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

    def take(self, channel: Publishing, message: ParkedBatch | ParkedEvent) -> None:
        """Act on a message narrowed to the entries `visit` chose, before it is acknowledged."""


@dataclass(slots=True)
class Walked:
    """What a walk saw."""

    messages: int = 0
    entries: list[Parked] = field(default_factory=list)
    taken: int = 0
    remaining: int = 0
    """Messages that were there and not seen, because the walk was ended early; the next one begins with them."""

    @property
    def whole(self) -> bool:
        """Whether everything that was there was seen."""
        return not self.remaining


class Publishing:
    """One channel with confirms."""

    def __init__(self, connection: kombu.Connection) -> None:
        self.connection = connection
        self.channel: Any = connection.channel()
        self._producer = kombu.Producer(self.channel)

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
    ) -> None:
        """Publish one durable message and wait for its confirm; ``published`` is when it first was, if it counts."""
        stamp: dict[str, Any] = {} if published is None else {"timestamp": math.ceil(published)}
        self._producer.publish(
            body,
            exchange=kombu.Exchange(exchange, type="topic", durable=True),
            routing_key=routing_key,
            content_type=content_type,
            # "binary", kombu's word for bytes, is an encoding that intake refuses; these are the bytes as they came.
            content_encoding="utf-8" if content_type == "application/json" else "identity",
            headers=headers,
            delivery_mode=2,
            priority=priority,
            confirm_timeout=CONFIRM_TIMEOUT_S,
            **stamp,
        )

    def park(self, queue: str, parked: ParkedBatch | ParkedEvent) -> None:
        """Publish what lies, or shall lie, in a failure queue."""
        message = as_message(parked)
        self.publish(
            topology.PARKED_EXCHANGE, queue, message.body, content_type=message.content_type, headers=message.headers
        )


class Redrive:
    """Walks failure queues; one per operator's command."""

    def __init__(self, app: Celery, *, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        self._app = app
        self._progress = progress

    def depths(self) -> dict[str, int]:
        """Messages ready in each failure queue and among the dead letters; a queue that does not exist yet has none."""
        queues = (*topology.FAILURE_QUEUES, topology.DEAD_LETTERS)
        with translated("walk the failure queues"), self._app.connection_for_read() as connection:
            return {queue: _depth(connection, queue) for queue in queues}

    def walk(
        self, queue: str, visitor: Visitor, *, reread: bool = False, enough: Callable[[], bool] = lambda: False
    ) -> Walked:
        """Visit every message that is in the queue now, once; what arrives meanwhile waits for the next walk.

        ``reread``: see `reading.read_message`. ``enough`` ends it early.
        """
        seen = Walked()
        with translated("walk the failure queues"), self._app.connection_for_write() as connection:
            publishing = Publishing(connection)
            total = _depth(connection, queue)
            for entry in _entries(publishing.channel, queue, total, reread=reread):
                self._visit(publishing, queue, entry, visitor, seen)
                self._progress(seen.messages, total)
                if enough():
                    seen.remaining = total - seen.messages
                    break
        return seen

    def park_dead_letters(self, letters: DeadLetters) -> None:
        """What a consumer does all the time, once; for when none runs. What a worker still has stays for later."""
        with translated("walk the failure queues"), self._app.connection_for_write() as connection:
            publishing = Publishing(connection)
            for _ in range(_depth(connection, topology.DEAD_LETTERS)):
                got = publishing.channel.basic_get(queue=topology.DEAD_LETTERS, no_ack=False)
                if got is None:
                    return
                body = got.body if isinstance(got.body, bytes) else str(got.body).encode()
                headers = got.properties.get("application_headers") or {}
                letter = DeadLetter(
                    got.delivery_info["routing_key"], body, headers, got.properties.get("content_type", "")
                )
                examined = letters.examine(letter)
                for parked in examined.parks:
                    publishing.park(parked.parked[0].queue, parked)
                    letters.index(parked)
                if not examined.again_in:
                    publishing.channel.basic_ack(got.delivery_tag)

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
            publishing.park(queue, narrowed(entry.message, kept))
        entry.raw.ack()


def narrowed(message: ParkedBatch | ParkedEvent, parked: list[Parked]) -> ParkedBatch | ParkedEvent:
    """The same message with only these entries."""
    if isinstance(message, ParkedEvent):
        return ParkedEvent(tuple(parked), message.body, message.content_type, message.headers)
    wanted = {entry.id for entry in parked}
    deliveries = [delivery for delivery in message.batch.deliveries if delivery.id in wanted]
    return ParkedBatch(message.batch.narrowed(deliveries), tuple(parked))


def _entries(channel: Any, queue: str, total: int, *, reread: bool) -> Iterator[Entry]:
    for _ in range(total):
        # Not kombu's `Queue.get`: it raises for a message it cannot decompress, and such a one would end every walk.
        got = channel.basic_get(queue=queue, no_ack=False)
        if got is None:
            return
        raw = channel.message_to_python(got)
        body = raw.body if isinstance(raw.body, bytes) else str(raw.body).encode()
        headers = dict(raw.headers or {})
        yield Entry(read_message(queue, body, headers, raw.content_type or "", reread=reread), raw)


def _depth(connection: kombu.Connection, queue: str) -> int:
    """A fresh channel for each question: asking for a queue that is not there closes the channel (AMQP 404)."""
    channel: Any
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except connection.channel_errors:
            return 0
