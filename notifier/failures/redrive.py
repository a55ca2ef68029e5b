"""Walk a shelf once: each message is taken, its chosen entries acted on, the rest put at the tail, then acknowledged.

A window of messages at a time. Every step is confirmed before the messages it came from are acknowledged, so a crash
anywhere repeats work and loses none; what was already sent again is recognised by the ledger. Written on kombu, so the
embedded Redis broker works too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import kombu
from celery import Celery

from notifier.broker.faults import translated
from notifier.domain import topology
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent
from notifier.failures.dead_letters import DeadLetter, DeadLetters
from notifier.failures.meeting import Met, Needs
from notifier.failures.publishing import Publishing, opened
from notifier.failures.windows import FIRST_WINDOW, WINDOW, acknowledge, following, take


class Visitor(Protocol):
    """What is done with the entries of a walk."""

    def visit(self, parked: Parked) -> bool:
        """Whether this entry is taken out of the queue."""

    def take(self, channel: Publishing, messages: Sequence[ParkedBatch | ParkedEvent]) -> None:
        """Act on messages narrowed to the entries `visit` chose, before they are acknowledged.

        What it publishes is confirmed after it returns.
        """


class Sparing(ABC):
    """A visitor that is given messages unread: reading them is most of a walk's work."""

    needs: Needs

    @abstractmethod
    def visit(self, parked: Parked) -> bool:
        """As a `Visitor`'s."""

    @abstractmethod
    def take_unread(self, channel: Publishing, messages: Sequence[Part]) -> None:
        """As a `Visitor`'s ``take``."""


@dataclass(frozen=True, slots=True)
class Part:
    """What was chosen of a message."""

    met: Met
    entries: Sequence[Parked]

    @property
    def message(self) -> ParkedBatch | ParkedEvent:
        """The message with these entries only."""
        return self.met.narrowed(self.entries)


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

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._sizes: dict[str, int] = {}
        """Queue → messages of its next window, as its last one taught."""

    def depths(self) -> dict[str, int]:
        """Messages ready in each failure queue, on all its shelves, and among the dead letters; nowhere is none."""
        with translated("walk the failure queues"), self._app.connection_for_read() as connection:
            found = {q: sum(_depths(connection, topology.places(q)).values()) for q in topology.FAILURE_QUEUES}
            return found | _depths(connection, (topology.DEAD_LETTERS,))

    def depth(self, place: str) -> int:
        """Messages ready in one queue of the broker's; none if it does not exist yet."""
        with translated("walk the failure queues"), self._app.connection_for_read() as connection:
            return _depths(connection, (place,))[place]

    def walk(
        self,
        place: str,
        visitor: Visitor | Sparing,
        *,
        reread: bool = False,
        enough: Callable[[], bool] = lambda: False,
        at_most: int = WINDOW,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Walked:
        """Visit every message that is there now, once; what arrives meanwhile waits for the next walk.

        ``reread``: see `reading.read_message`. ``enough`` ends it early, after a window of ``at_most`` messages.
        """
        seen = Walked()
        with opened(self._app) as publishing:
            total = _depths(publishing.connection, (place,))[place]
            queue = topology.queue_of(place)
            size = min(self._sizes.get(queue, FIRST_WINDOW), at_most)
            while seen.messages < total and (window := take(publishing, place, min(size, total - seen.messages))):
                _visit(publishing, place, [Met(place, one, reread=reread) for one in window], visitor, seen)
                acknowledge(publishing, window)
                self._sizes[queue] = size = following(size, window, at_most)
                progress(seen.messages, total)
                if enough():
                    seen.remaining = total - seen.messages
                    break
        return seen

    def park_dead_letters(self, letters: DeadLetters) -> None:
        """What a consumer does all the time, once; for when none runs. What a worker still has stays for later."""
        with opened(self._app) as publishing:
            for _ in range(_depths(publishing.connection, (topology.DEAD_LETTERS,))[topology.DEAD_LETTERS]):
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
                    publishing.park(parked.parked[0].place, parked)
                    publishing.confirm()
                    letters.index(parked)
                if not examined.again_in:
                    publishing.channel.basic_ack(got.delivery_tag)


def _visit(
    publishing: Publishing, place: str, messages: Sequence[Met], visitor: Visitor | Sparing, seen: Walked
) -> None:
    taken: list[Part] = []
    needs = visitor.needs if isinstance(visitor, Sparing) else Needs.WHOLE
    for met in messages:
        chosen, kept = met.sort(visitor.visit, needs)
        if not chosen:
            met.keep(publishing)
        else:
            taken.append(Part(met, chosen))
            if kept:
                publishing.park(place, met.narrowed(kept))
        seen.entries += met.entries
        seen.taken += len(chosen)
    if not taken:
        pass
    elif isinstance(visitor, Sparing):
        visitor.take_unread(publishing, taken)
    else:
        visitor.take(publishing, [part.message for part in taken])
    publishing.confirm()
    seen.messages += len(messages)


def _depths(connection: kombu.Connection, places: Sequence[str]) -> dict[str, int]:
    found = {}
    channel: Any = None
    for place in places:
        try:
            channel = channel or connection.channel()
            found[place] = int(channel.queue_declare(place, passive=True).message_count)
        except connection.channel_errors:
            # Asking for a queue that is not there closes the channel (AMQP 404).
            found[place], channel = 0, None
    if channel is not None:
        channel.close()
    return found
