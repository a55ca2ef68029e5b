"""`Admission`: how many deliveries of each work queue are under way at once, so that no queue makes another one wait.

Celery's pool is a line: with all of its greenlets busy, a password reset waits for newsletters. So the pool is larger
than everything the broker may hand over, each batch has its greenlet at once, and here it is decided who goes on. High
batches always do, and so does the first batch of a queue that has none under way: no queue waits for another one to
finish. Beyond that, a queue may use its share of what is *left*: the more it has under way, the less it may add.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from gevent.event import Event as Signal

from notifier import metrics
from notifier.domain.rule import Priority
from notifier.errors import WorkerStopping

#: Part of `NOTIFIER_WORKER_IN_FLIGHT` that work queues share; the rest is for high batches and for what slow receivers
#: left over.
SHARED = 0.6
#: A batch counts as at least so many deliveries: a greenlet and its round trips cost as much.
LEAST = 10
#: Deliveries between the reading of their batch and their way into the engine, beyond the first batch of each queue: as
#: many as keep a core busy while Redis is asked. With a dozen batches in between each waits for the others to render,
#: and all they are made of is more than the core's cache holds.
PREPARED_AT_ONCE = 150
#: What a queue may have under way, as a multiple of what is left: normal takes half of everything when it is alone,
#: low a third, their shards a third and a fifth. 240 mails in flight already keep a core busy; with 1,200 of them a
#: high one waits behind ten times as many (measured).
_SHARES = {Priority.NORMAL.value: 1.0, Priority.LOW.value: 0.5}
_SHARD = 0.5
_HANDICAPS = {Priority.NORMAL.value: 20.0, Priority.LOW.value: 40.0}
_SHARD_HANDICAP = 20.0


class Turn:
    """A batch's place; this one is of those that are not counted."""

    def narrow(self, deliveries: int) -> None:
        """Only so many of the batch are still under way: others may begin."""

    def prepared(self) -> None:
        """Everything of it that leaves is ready to leave: others may begin."""


UNCOUNTED = Turn()


class _Counted(Turn):
    def __init__(self, admission: Admission, queue: str, size: int) -> None:
        self._admission = admission
        self._queue = queue
        self._size = size
        self._preparing = size

    def prepared(self) -> None:
        ready, self._preparing = self._preparing, 0
        self._admission.prepared(ready)

    def narrow(self, deliveries: int) -> None:
        if deliveries < self._size:
            self._size, left = deliveries, self._size - deliveries
            self._admission.leave(self._queue, left)


class Admission:
    """One per worker process; used on its hub's thread only."""

    def __init__(self, deliveries: int) -> None:
        """``deliveries`` is what all queues but the high ones share."""
        self._left = float(deliveries)
        self._preparing = 0
        self._used: dict[str, int] = {}
        self._waiting: dict[str, deque[tuple[int, Signal]]] = {}
        self._closed = False

    @contextmanager
    def turn(self, queue: str, deliveries: int) -> Iterator[Turn]:
        """Wait until a batch of this queue may go on, and count it until it has ended.

        Raises `WorkerStopping` when the worker stops before that.
        """
        share = share_of(queue)
        if math.isinf(share):
            yield UNCOUNTED
            return
        size = max(LEAST, deliveries)
        self._enter(queue, share, size)
        turn = _Counted(self, queue, size)
        try:
            yield turn
        finally:
            turn.prepared()
            turn.narrow(0)

    def close(self) -> None:
        """Nothing begins any more; what waits is handed back."""
        self._closed = True
        for line in self._waiting.values():
            for _, signal in line:
                signal.set()

    def _enter(self, queue: str, share: float, size: int) -> None:
        if self._closed:
            raise WorkerStopping("the worker is stopping; the batch has not begun")
        if queue not in self._waiting and self._has_room(queue, share):
            self._take(queue, size)
            return
        place = (size, Signal())
        line = self._waiting.setdefault(queue, deque())
        line.append(place)
        metrics.LANE_WAITING.labels(queue).set(len(line))
        try:
            place[1].wait()
        except BaseException:
            self._give_up(queue, place)
            raise
        if place in self._waiting.get(queue, ()):
            self._give_up(queue, place)
            raise WorkerStopping("the worker is stopping; the batch has not begun")

    def _has_room(self, queue: str, share: float) -> bool:
        used = self._used.get(queue, 0)
        return not used or (used < share * self._left and self._preparing < PREPARED_AT_ONCE)

    def _take(self, queue: str, size: int) -> None:
        self._used[queue] = self._used.get(queue, 0) + size
        self._left -= size
        self._preparing += size

    def leave(self, queue: str, size: int) -> None:
        """So many of a queue's deliveries are no longer under way; `Turn` calls it."""
        self._left += size
        self._used[queue] -= size
        if not self._used[queue]:
            del self._used[queue]
        self._wake()

    def prepared(self, size: int) -> None:
        """So many deliveries are ready to leave; `Turn` calls it."""
        if size:
            self._preparing -= size
            self._wake()

    def _wake(self) -> None:
        """Let in whoever may go on now, from the queue that has least under way for its share."""
        if self._closed:
            return
        for queue in sorted(self._waiting, key=lambda name: self._used.get(name, 0) / share_of(name)):
            line = self._waiting[queue]
            while line and self._has_room(queue, share_of(queue)):
                size, signal = line.popleft()
                self._take(queue, size)
                signal.set()
            self._tidy(queue)

    def _give_up(self, queue: str, place: tuple[int, Signal]) -> None:
        line = self._waiting.get(queue)
        if line is not None and place in line:
            line.remove(place)
            self._tidy(queue)
        else:
            # Its turn had come at the same moment.
            self.prepared(place[0])
            self.leave(queue, place[0])

    def _tidy(self, queue: str) -> None:
        metrics.LANE_WAITING.labels(queue).set(len(self._waiting[queue]))
        if not self._waiting[queue]:
            del self._waiting[queue]


@cache
def share_of(queue: str) -> float:
    """How much of what is left a queue may use; of high ones as much as they like."""
    words = queue.split("-")
    if Priority.HIGH.value in words:
        return math.inf
    share = next((share for word, share in _SHARES.items() if word in words), _SHARES[Priority.LOW.value])
    return share * (_SHARD if is_shard(queue) else 1)


@cache
def handicap_of(queue: str) -> float:
    """Seconds by which deliveries of a queue let more urgent ones past in line for a connection (`priority_semaphore`).

    At most half of the shortest time a mail waits there before it is given up (`relays.QUEUE_SHARE`).
    """
    words = queue.split("-")
    handicap = next((seconds for word, seconds in _HANDICAPS.items() if word in words), 0.0)
    return handicap + (_SHARD_HANDICAP if is_shard(queue) else 0.0)


def is_shard(queue: str) -> bool:
    """Whether it is one of its lane's further queues, for tenants with much waiting."""
    return "-shard" in queue
