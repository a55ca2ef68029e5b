"""One round trip to a Redis Cluster as data: which calls go to which node, and which of them must go again.

What a node answers instead of a reply is in the Redis Cluster specification, "MOVED redirection" and "ASK redirection";
TRYAGAIN is told while only some of a script's keys have been moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import exceptions as redis_errors

from notifier.storage.commands import Call, command
from notifier.storage.slot_map import Address, SlotMap, key_of, slot_of

#: Seconds before each pass; in all the 1.3 s that a slot may be between two nodes. An election takes longer: then
#: storage is away for those who asked, as with a single server.
PAUSES_S = (0.0, 0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.5)
#: Of a node that cannot do it now, in a reply: demoted (READONLY), without its primary or its quorum, loading its file.
_NOT_NOW = (
    redis_errors.ClusterDownError,
    redis_errors.ReadOnlyError,
    redis_errors.TryAgainError,
    redis_errors.BusyLoadingError,
)
_ASKING = command("ASKING")


class Trip:
    """The calls of a round trip, their replies, and what is still to be asked."""

    __slots__ = ("_asking", "_broken", "calls", "error", "hint", "is_map_old", "replies", "waiting")

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = calls
        self.replies: list[Any] = [None] * len(calls)
        self.waiting: Sequence[int] = range(len(calls))
        """Places of the calls without a reply."""
        self.is_map_old = False
        """Whether something was answered that the map did not foresee."""
        self.hint: Address | None = None
        """Who knows better."""
        self.error: Exception = redis_errors.ClusterDownError("no node has answered")
        """Why the last of them was not done."""
        self._asking: dict[int, Address] = {}
        self._broken: set[Address] = set()

    def begin(self, nodes: SlotMap) -> dict[Address, list[int]]:
        """A pass: the places of what waits, by node; from now on nothing waits but what is `put_off`."""
        parts: dict[Address, list[int]] = {}
        elsewhere: list[int] = []
        unserved: list[int] = []
        for place in self.waiting:
            if key := key_of(self.calls[place]):
                node = self._asking.get(place) or nodes.of(slot_of(key))
                if node is not None:
                    parts.setdefault(node, []).append(place)
                else:
                    unserved.append(place)
            else:
                elsewhere.append(place)
        if elsewhere:
            # With the others of their round trip: a clock is asked together with what it is to be compared with.
            parts.setdefault(next(iter(parts or nodes.primaries)), []).extend(elsewhere)
        self.waiting, self.is_map_old, self.hint = unserved, bool(unserved), None
        return parts

    def words_for(self, places: Sequence[int]) -> list[Call]:
        """What is sent to a node: the calls, each behind ASKING where its slot is about to come there."""
        if not self._asking:
            return [self.calls[place] for place in places]
        return [call for p in places for call in ((_ASKING,) if p in self._asking else ()) + (self.calls[p],)]

    def take(self, node: Address, places: Sequence[int], replies: Sequence[Any]) -> None:
        """What a node answered to `words_for` these places."""
        answers = iter(replies)
        again = []
        for place in places:
            if self._asking.pop(place, None):
                next(answers)  # to ASKING
            reply = next(answers)
            if isinstance(reply, Exception) and self._is_elsewhere(node, place, reply):
                again.append(place)
            else:
                self.replies[place] = reply
        self.waiting = [*self.waiting, *again]

    def put_off(self, node: Address, places: Sequence[int], error: Exception) -> None:
        """The connection to a node broke; raises the error when it does so twice and nobody has taken its place."""
        for place in places:
            self._asking.pop(place, None)
        if node in self._broken:
            raise error
        self._broken.add(node)
        self.waiting, self.is_map_old, self.error = [*self.waiting, *places], True, error

    def given_up(self) -> Exception:
        """What to raise when none of the passes was enough."""
        if isinstance(self.error, redis_errors.AskError):
            return redis_errors.ClusterDownError("its nodes do not agree who has which slots")
        return self.error

    def _is_elsewhere(self, node: Address, place: int, reply: Exception) -> bool:
        if isinstance(reply, redis_errors.AskError):
            there = (reply.host or node[0], int(reply.port))
            if isinstance(reply, redis_errors.MovedError):
                self.is_map_old, self.hint = True, there
            else:
                self._asking[place] = there
        elif isinstance(reply, _NOT_NOW) or "-READONLY " in str(reply):
            self.is_map_old = self.is_map_old or not isinstance(reply, redis_errors.TryAgainError)
        else:
            return False
        self.error = reply
        return True
