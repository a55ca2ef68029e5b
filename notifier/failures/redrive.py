"""Walk a failure queue once: each message is taken, its chosen entries acted on, the rest put at the tail, then acked.

A window of messages at a time. Every step is confirmed before the messages it came from are acknowledged, so a crash
anywhere repeats work and loses none; what was already sent again is recognised by the ledger. Written on kombu, so the
embedded Redis broker works too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import kombu
from celery import Celery

from notifier.broker.faults import translated
from notifier.domain import topology
from notifier.domain.parked import PARKED_HEADER, Parked, ParkedBatch, ParkedEvent, peek
from notifier.failures.dead_letters import DeadLetter, DeadLetters
from notifier.failures.publishing import Publishing, opened
from notifier.failures.reading import read_message
from notifier.failures.windows import FIRST_WINDOW, WINDOW, Taken, acknowledge, following, take


class Visitor(Protocol):
    """What is done with the entries of a walk."""

    def visit(self, parked: Parked) -> bool:
        """Whether this entry is taken out of the queue."""

    def take(self, channel: Publishing, messages: Sequence[ParkedBatch | ParkedEvent]) -> None:
        """Act on messages narrowed to the entries `visit` chose, before they are acknowledged.

        What it publishes is confirmed after it returns.
        """


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
        self,
        queue: str,
        visitor: Visitor,
        *,
        reread: bool = False,
        enough: Callable[[], bool] = lambda: False,
        at_most: int = WINDOW,
    ) -> Walked:
        """Visit every message that is in the queue now, once; what arrives meanwhile waits for the next walk.

        ``reread``: see `reading.read_message`. ``enough`` ends it early, after a window of ``at_most`` messages.
        """
        seen = Walked()
        with opened(self._app) as publishing:
            total = _depth(publishing.connection, queue)
            size = min(FIRST_WINDOW, at_most)
            while seen.messages < total and (window := take(publishing, queue, min(size, total - seen.messages))):
                messages = [Met(queue, one, reread=reread) for one in window]
                self._visit(publishing, queue, messages, visitor, seen)
                acknowledge(publishing, window)
                size = following(size, window, at_most)
                self._progress(seen.messages, total)
                if enough():
                    seen.remaining = total - seen.messages
                    break
        return seen

    def park_dead_letters(self, letters: DeadLetters) -> None:
        """What a consumer does all the time, once; for when none runs. What a worker still has stays for later."""
        with opened(self._app) as publishing:
            for _ in range(_depth(publishing.connection, topology.DEAD_LETTERS)):
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
                    publishing.confirm()
                    letters.index(parked)
                if not examined.again_in:
                    publishing.channel.basic_ack(got.delivery_tag)

    def _visit(
        self, publishing: Publishing, queue: str, messages: Sequence[Met], visitor: Visitor, seen: Walked
    ) -> None:
        taken: list[ParkedBatch | ParkedEvent] = []
        for message in messages:
            chosen, kept = message.sort(visitor)
            if not chosen:
                message.keep(publishing)
            else:
                taken.append(narrowed(message.whole, chosen))
                if kept:
                    publishing.park(queue, narrowed(message.whole, kept))
            seen.entries += message.entries
            seen.taken += len(chosen)
        if taken:
            visitor.take(publishing, taken)
        publishing.confirm()
        seen.messages += len(messages)


class Met:
    """A message that a walk meets; most are read no further than is needed to see whose they are."""

    def __init__(self, queue: str, taken: Taken, *, reread: bool) -> None:
        self._queue = queue
        self._taken = taken
        self._reread = reread
        peeked = None if reread or PARKED_HEADER in self._headers else peek(taken.body)
        self._is_ours = peeked is not None
        self.entries: Sequence[Parked] = self.whole.parked if peeked is None else peeked

    @cached_property
    def whole(self) -> ParkedBatch | ParkedEvent:
        """All of it."""
        content_type = self._taken.raw.content_type or ""
        return read_message(self._queue, self._taken.body, self._headers, content_type, reread=self._reread)

    def sort(self, visitor: Visitor) -> tuple[list[Parked], list[Parked]]:
        """What is chosen, and what is kept."""
        chosen, kept = _sorted(self.entries, visitor)
        if chosen and self._is_ours and isinstance(self.whole, ParkedEvent):
            # A later release's batch, which nobody here can read: it is what it is to all who look at the whole.
            self.entries, self._is_ours = self.whole.parked, False
            return _sorted(self.entries, visitor)
        return chosen, kept

    def keep(self, publishing: Publishing) -> None:
        """To the tail: byte for byte, if it is as we wrote it."""
        if self._is_ours:
            publishing.park_again(self._queue, self._taken.body, self.entries)
        else:
            publishing.park(self._queue, self.whole)

    @property
    def _headers(self) -> dict[str, Any]:
        return dict(self._taken.raw.headers or {})


def _sorted(entries: Sequence[Parked], visitor: Visitor) -> tuple[list[Parked], list[Parked]]:
    chosen: list[Parked] = []
    kept: list[Parked] = []
    for parked in entries:
        (chosen if visitor.visit(parked) else kept).append(parked)
    return chosen, kept


def narrowed(message: ParkedBatch | ParkedEvent, parked: list[Parked]) -> ParkedBatch | ParkedEvent:
    """The same message with only these entries."""
    if len(parked) == len(message.parked):
        return message
    if isinstance(message, ParkedEvent):
        return ParkedEvent(tuple(parked), message.body, message.content_type, message.headers)
    wanted = {entry.id for entry in parked}
    deliveries = [delivery for delivery in message.batch.deliveries if delivery.id in wanted]
    return ParkedBatch(message.batch.narrowed(deliveries), tuple(parked))


def _depth(connection: kombu.Connection, queue: str) -> int:
    """A fresh channel for each question: asking for a queue that is not there closes the channel (AMQP 404)."""
    channel: Any
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except connection.channel_errors:
            return 0
