"""Deliveries whose receiver is slow: they stay under way while their batch, and its slot of the pool, goes on.

A batch ends when its slowest delivery does, so one endpoint that hangs would delay forty-nine others and, with as many
batches as the pool has slots, the worker. What is unanswered after a moment is left behind: a copy of the delivery is
published, delayed until after the exchange's deadline, and from then on the copy is its message. It finds in the
ledger what became of the try: sent, or to be tried again at a time, or abandoned by a worker that died.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import gevent
from gevent.event import Event as Signal

from notifier import metrics
from notifier.domain.retry import RetryIn
from notifier.domain.rule import Channel
from notifier.errors import NotifierError
from notifier.logs import get
from notifier.worker.batch.recorder import Receipt
from notifier.worker.batch.sender import Leave, Settled
from notifier.worker.in_flight import InFlight

_log = get("worker")

#: Seconds beyond an exchange's deadline until the copy of a delivery that was left behind looks what became of it.
COPY_SLACK_S = 3

#: What follows the try of a delivery that was left behind: a park, a breaker's count; never its retry.
Follow = Callable[[Settled], None]


class Stragglers:
    """Those that were left behind; one greenlet follows what becomes of them."""

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._ended: deque[tuple[Settled, Follow]] = deque()
        self._wanted = Signal()
        self._idle = Signal()
        self._idle.set()
        self._greenlet = gevent.spawn(self._run)

    def leaving(self, follow: Follow) -> Leave:
        """For `Sender.send`: how the deliveries of one batch are left behind."""
        return lambda settled: _Late(self, settled, follow)

    def add(self, number: int) -> None:
        """So many more are under way; called on the hub's thread."""
        self._in_flight.left_behind += number
        if self._in_flight.left_behind > 0:
            self._idle.clear()

    def wait(self, seconds: float) -> bool:
        """Whether all have ended within so many seconds."""
        return bool(self._idle.wait(seconds))

    def ended(self, settled: Settled | None, follow: Follow) -> None:
        """The record of one is written, or another worker's stands; called on the hub's thread."""
        metrics.IN_FLIGHT.labels(Channel.WEBHOOK).dec()
        if settled is not None:
            self._ended.append((settled, follow))
            self._wanted.set()
        self._one_less()

    def _one_less(self) -> None:
        self._in_flight.left_behind -= 1
        if self._in_flight.left_behind <= 0:
            self._idle.set()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            while self._ended:
                settled, follow = self._ended.popleft()
                try:
                    follow(_without_retry(settled))
                except NotifierError:
                    # Its copy does it again when it comes back: what failed and is in no failure queue is parked then.
                    _log.exception("straggler.unfollowed", extra={"fields": {"delivery": settled.work.delivery.id}})


class _Late(Receipt):
    """The receipt of one delivery that was left behind. Made in the engine's thread, so without a gevent event."""

    __slots__ = ("_follow", "_settled", "_stragglers")

    def __init__(self, stragglers: Stragglers, settled: Settled, follow: Follow) -> None:
        self._stragglers = stragglers
        self._settled = settled
        self._follow = follow

    def tick(self, delivery: str, written: bool) -> None:  # noqa: ARG002 - it is about one delivery
        """Its record was flushed; a stale one is somebody else's now."""
        self._stragglers.ended(self._settled if written else None, self._follow)


def _without_retry(settled: Settled) -> Settled:
    """The copy is the retry: two messages of one delivery would multiply with every try."""
    if isinstance(settled.decision.follow, RetryIn):
        return replace(settled, decision=replace(settled.decision, follow=None))
    return settled
