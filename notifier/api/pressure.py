"""`AdmittingIntake`: the API's way in, closed for events whose work queues are all full.

The caller still has the event and hears when to come back, which is cheaper for everybody than one more waiting here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from notifier.api.events import Intake
from notifier.domain.event import Event
from notifier.errors import Overloaded, StorageUnavailable

#: Seconds for which an answer is used again: one question a second, however many events come.
FRESH_S = 1.0


class AdmittingIntake:
    """Asks which queues are full before it lets events through. Thread-safe: at worst two threads ask at once."""

    def __init__(
        self,
        intake: Intake,
        full_queues: Callable[[], Mapping[str, int]],
        queues_of: Callable[[Event], Collection[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``queues_of`` gives the work queues of the rules that concern an event; it is asked while any is full."""
        self._intake = intake
        self._full_queues = full_queues
        self._queues_of = queues_of
        self._clock = clock
        self._full: Mapping[str, int] = {}
        self._asked = float("-inf")

    def accept(self, events: Sequence[Event], *, urgent: bool = False) -> None:
        """Raises `Overloaded` when one of the events could go nowhere; then none is taken."""
        if full := self._newest():
            for event in events:
                queues = self._queues_of(event)
                # With room in one queue it is let in: a mailing must not hold back the confirmation beside it.
                if queues and all(queue in full for queue in queues):
                    waiting = ", ".join(f"{full[queue]:,} tasks wait in {queue}" for queue in sorted(queues))
                    raise Overloaded(f"there is no room for {event.type}: {waiting}")
        self._intake.accept(events, urgent=urgent)

    def _newest(self) -> Mapping[str, int]:
        now = self._clock()
        if now - self._asked >= FRESH_S:
            self._asked = now
            try:
                self._full = self._full_queues()
            except StorageUnavailable:
                # Events are taken in without Redis: the broker keeps them until it is back.
                self._full = {}
        return self._full
