"""Two ways in which a node fails while its connection looks well, as its kernel goes on acknowledging what we send.

Looks are counted and not seconds: after a moment in which this process itself stood still, the one look that follows
must not blame the node for it.
"""

from __future__ import annotations

#: Seconds without a byte after which a node is left for another one; heartbeats come every two
#: (`parameters.CLUSTER_HEARTBEAT_S`). Where there is no other node, AMQP's own heartbeats are soon enough.
SILENT_S = 5.0
#: Seconds in which nothing is confirmed although something waits. With one address as well: a load balancer may stand
#: there, or it means what it says.
UNCONFIRMED_S = 4.0
UNCONFIRMED_ALONE_S = 30.0
#: Seconds in which all that is meant for one queue is refused.
REFUSED_S = 1.0
#: What both grow to: a cluster that is overloaded or has lost its majority, and a queue that is full, look the
#: same.
LONGEST_S = 60.0


class Silence:
    """A node that is frozen. Of one connection; looked at every ``tick`` seconds."""

    def __init__(self, tick: float) -> None:
        self._tick = tick
        self._bytes = -1
        self._silent = 0

    def look(self, received: int) -> str:
        """Why the node is to be left, or "", by the bytes received from it so far."""
        self._silent = self._silent + 1 if received == self._bytes else 0
        self._bytes = received
        return f"it has said nothing for {SILENT_S:.0f} s" if self._silent * self._tick >= SILENT_S else ""


class Stall:
    """A channel that confirms nothing, or refuses all that is meant for one queue, while its node talks.

    The queue has no leader, or RabbitMQ 3.10 has left the channel behind when it died: what was published during the
    election is never answered, and a channel whose first message met no leader refuses every later one. A new channel
    is well, also at the same node.
    """

    def __init__(self, tick: float, *, has_others: bool) -> None:
        self._tick = tick
        self._first = UNCONFIRMED_S if has_others else UNCONFIRMED_ALONE_S
        self._unanswered = self._refusals = 0
        self.begin()

    @property
    def is_first(self) -> bool:
        """Whether what `look` said last it said for the first time since something was taken."""
        return self._unanswered + self._refusals == 1

    def begin(self) -> None:
        """A new channel."""
        self._unconfirmed = 0
        self._refusing: dict[str, int] = {}

    def confirmed(self, key: str) -> None:
        """A message with this routing key has arrived."""
        self._unconfirmed = self._unanswered = 0
        if self._refusing:
            self._refusing.pop(key, None)
        else:
            self._refusals = 0

    def refused(self, key: str) -> None:
        """A message with this routing key was refused."""
        self._unconfirmed = 0
        self._refusing.setdefault(key, 0)

    def look(self, *, waits: bool) -> str:
        """Why the channel is to be given up, or ""; ``waits``: whether messages are sent and not answered."""
        self._unconfirmed = self._unconfirmed + 1 if waits else 0
        for key in self._refusing:
            self._refusing[key] += 1
        if self._unconfirmed * self._tick >= (patience := _patience(self._first, self._unanswered)):
            self._unanswered += 1
            return f"it has confirmed nothing for {patience:.0f} s"
        longest = max(self._refusing.values(), default=0)
        if longest * self._tick >= (patience := _patience(REFUSED_S, self._refusals)):
            self._refusals += 1
            return f"it has refused all that is meant for a queue for {patience:.0f} s"
        return ""


def _patience(first: float, times: int) -> float:
    """Doubled each time, but the second is as soon as the first: for most, that is another node's turn."""
    return min(LONGEST_S, first * 2.0 ** max(0, times - 1))
