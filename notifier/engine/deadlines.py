"""`Deadlines`: the times of one mail: when its wait for a connection ends, and then its transaction."""

from __future__ import annotations

from notifier.engine.relay_breaker import Clock

#: Share of the deadline within which all before the final dot must be over: the reply to the dot has the other half,
#: because giving up there means not knowing (RFC 5321 §4.5.3.2.6 asks for 10 minutes, for the same reason).
EARLY_SHARE = 0.5
#: A mail may wait this many deadlines for a free connection: 24 batches of 50 over 10 connections of a relay that takes
#: a second for each mail wait two minutes, and giving up would cost them a try without having tried.
QUEUE_SHARE = 3.0


class Deadlines:
    """Loop times; the transaction's begin when a connection is there, and a second relay inherits what is left."""

    __slots__ = ("_clock", "_seconds", "begun", "early", "late", "queue")

    def __init__(self, seconds: float, clock: Clock, now: float) -> None:
        """``seconds`` for the transaction; ``now`` is what ``clock`` says, asked once for a batch."""
        self._clock = clock
        self._seconds = seconds
        self.queue = now + seconds * QUEUE_SHARE
        self.early = 0.0
        self.late = 0.0
        self.begun = 0.0
        """When its transaction began; 0 before."""

    @property
    def taken(self) -> float:
        """Seconds since its transaction began; 0 before."""
        return self._clock() - self.begun if self.begun else 0.0

    def end(self) -> None:
        """It goes again: another transaction begins when there is another connection, within the same bound."""
        self.late = 0.0

    def begin(self) -> None:
        """A connection is there."""
        if not self.late:
            self.begun = self._clock()
            self.late = min(self.begun, self.queue) + self._seconds
            self.early = self.late - self._seconds * (1 - EARLY_SHARE)
