"""What is done with the entries that a walk chooses: nothing, a copy of one, or dropping them. See also `replaying`."""

from __future__ import annotations

from collections.abc import Sequence

from notifier import metrics
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent
from notifier.failures.meeting import Needs
from notifier.failures.publishing import Publishing
from notifier.failures.redrive import Part, Sparing
from notifier.failures.windows import WINDOW


class Keep:
    """A visitor that takes nothing: every message goes to the tail."""

    def visit(self, parked: Parked) -> bool:  # noqa: ARG002 - the visitor's signature
        """Nothing is chosen."""
        return False

    def take(self, channel: Publishing, messages: Sequence[ParkedBatch | ParkedEvent]) -> None:
        """Never called."""


class Finding:
    """A visitor that looks for one entry; it goes to the tail like all others, in a message of its own."""

    def __init__(self, identity: str, place: str) -> None:
        self.found: ParkedBatch | ParkedEvent | None = None
        self._identity = identity
        self._place = place

    def visit(self, parked: Parked) -> bool:
        """The first with this id."""
        return parked.id == self._identity and self.found is None

    def take(self, channel: Publishing, messages: Sequence[ParkedBatch | ParkedEvent]) -> None:
        """Keep a copy."""
        for message in messages:
            channel.park(self._place, message)
            self.found = message


class Discard(Sparing):
    """A visitor that drops what was chosen."""

    verb = "discarded"
    again_after = 0.0
    at_most = WINDOW
    needs = Needs.ENTRIES

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.done = 0
        self.already_sent = 0

    def visit(self, parked: Parked) -> bool:
        """Chosen by id."""
        return parked.id in self.ids

    def take_unread(self, channel: Publishing, messages: Sequence[Part]) -> None:  # noqa: ARG002 - the visitor's
        """Nothing follows: they are acknowledged."""
        for part in messages:
            self.done += len(part.entries)
            metrics.DISCARDED.labels(part.entries[0].queue).inc(len(part.entries))
