"""`Met`: a message that a walk meets; most are read no further than is needed to see whose they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from functools import cached_property

from notifier.domain.json_text import NotJson, read_written
from notifier.domain.outcome import Cause
from notifier.domain.parked import PARKED_HEADER, Parked, ParkedBatch, ParkedEvent, peek, read_batch
from notifier.domain.topology import queue_of
from notifier.domain.waiting import RawBatch
from notifier.errors import InvalidBatch
from notifier.failures.gathering import Lot
from notifier.failures.publishing import Publishing
from notifier.failures.reading import read_message
from notifier.failures.windows import Taken

#: Causes of which a replay asks the delivery itself: whose bounce it lifts, and what travels alone.
_READ = (Cause.BAD_RECIPIENT, Cause.POISON)


class Needs(Enum):
    """What a visitor needs of a message that it chooses something of."""

    ENTRIES = 1
    LOT = 2
    """The deliveries of what it chooses, unread; all of the message only where that is not enough."""
    WHOLE = 3


class Met:
    """One message of a window."""

    def __init__(self, place: str, taken: Taken, *, reread: bool) -> None:
        self._place = place
        self._taken = taken
        self._reread = reread
        peeked = None if reread or PARKED_HEADER in taken.headers else peek(taken.body)
        self._is_ours = peeked is not None
        self.lot: Lot | None = None
        """What was chosen, as if it had never been tried; None where more of it must be known."""
        self.entries: Sequence[Parked] = self.whole.parked if peeked is None else peeked

    @cached_property
    def whole(self) -> ParkedBatch | ParkedEvent:
        """All of it."""
        taken, queue = self._taken, queue_of(self._place)
        if self._is_ours:
            with suppress(InvalidBatch):
                return read_batch(taken.body, self.entries)
        return read_message(queue, taken.body, taken.headers, taken.content_type, reread=self._reread)

    def sort(self, wanted: Callable[[Parked], bool], needs: Needs) -> tuple[list[Parked], list[Parked]]:
        """What is chosen, and what is kept; reads no more of it than ``needs`` to be, if anything is chosen."""
        chosen, kept = _sorted(self.entries, wanted)
        if not chosen or not self._is_ours:
            return chosen, kept
        if needs is Needs.LOT:
            self.lot = self._lot(chosen)
        is_readable = needs is Needs.ENTRIES or self.lot is not None
        if (not is_readable or kept) and isinstance(self.whole, ParkedEvent):
            # A later release's batch, which nobody here can read: it is what it is to all who look at the whole.
            self.entries, self._is_ours, self.lot = self.whole.parked, False, None
            return _sorted(self.entries, wanted)
        return chosen, kept

    def _lot(self, entries: Sequence[Parked]) -> Lot | None:
        if (raw := self._raw) is None or any(entry.cause in _READ for entry in entries):
            return None
        waiting = raw.again({entry.id for entry in entries})
        return None if waiting is None else Lot(raw.channel, raw.priority, raw.shard, waiting)

    @cached_property
    def _raw(self) -> RawBatch | None:
        try:
            return RawBatch.read(read_written(self._taken.body)["batch"])
        except (InvalidBatch, NotJson):
            return None

    def narrowed(self, entries: Sequence[Parked]) -> ParkedBatch | ParkedEvent:
        """The message with only these entries."""
        return _narrowed(self.whole, entries)

    def keep(self, publishing: Publishing) -> None:
        """To the tail: byte for byte, if it is as we wrote it."""
        if self._is_ours:
            publishing.park_again(self._place, self._taken.body, self.entries)
        else:
            publishing.park(self._place, self.whole)


def _narrowed(message: ParkedBatch | ParkedEvent, parked: Sequence[Parked]) -> ParkedBatch | ParkedEvent:
    """The same message with only these entries."""
    if len(parked) == len(message.parked):
        return message
    if isinstance(message, ParkedEvent):
        return ParkedEvent(tuple(parked), message.body, message.content_type, message.headers)
    wanted = {entry.id for entry in parked}
    deliveries = [delivery for delivery in message.batch.deliveries if delivery.id in wanted]
    return ParkedBatch(message.batch.narrowed(deliveries), tuple(parked))


def _sorted(entries: Sequence[Parked], wanted: Callable[[Parked], bool]) -> tuple[list[Parked], list[Parked]]:
    chosen: list[Parked] = []
    kept: list[Parked] = []
    for parked in entries:
        (chosen if wanted(parked) else kept).append(parked)
    return chosen, kept
