"""`TimeSlices`: lets the hub look at its sockets while batches are rendered, which is most of what a worker computes.

A batch of fifty renders for several milliseconds, and nothing else of the process runs meanwhile: no high batch is
read, no reply of Redis, no result of the engine. `gevent.sleep(0)` does not help: it lets other greenlets run that are
ready, and when these are batches that render as well, sockets are looked at when all of them have finished (half a
second with five of them, measured). A timer goes through the event loop, and batches take turns, slice by slice: their
slices do not add up, and one of slow templates delays nobody for longer than one of its deliveries takes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
from gevent.event import Event as Signal

#: Seconds of rendering after which the hub looks at its sockets; a look costs 0.03 ms.
SLICE_S = 0.002
#: The same while a high batch is rendered: nobody is more urgent, but signs of life and heartbeats must get through.
URGENT_SLICE_S = 0.02
#: Any time above zero takes the way through the loop.
_A_MOMENT_S = 1e-6


class TimeSlices:
    """One per worker process; used on its hub's thread only."""

    def __init__(self, *, slice_s: float = SLICE_S, urgent_slice_s: float = URGENT_SLICE_S) -> None:
        self._slice = slice_s
        self._urgent_slice = urgent_slice_s
        self._line = _Line()

    @contextmanager
    def turn(self, *, urgent: bool) -> Iterator[Callable[[], None]]:
        """Wait for a turn, unless urgent; gives what to call between two deliveries."""
        if urgent:
            yield _Slices(self._urgent_slice, _look).pause
            return
        turn = _Turn(self._line)
        turn.take()
        try:
            yield _Slices(self._slice, turn.pass_on).pause
        finally:
            turn.give_up()


class _Line:
    """Who computes, and who is next: first come, first served, which gevent's semaphores are not."""

    def __init__(self) -> None:
        self.taken = False
        self.waiting: deque[Signal] = deque()

    def free(self) -> None:
        """Hand over to who is next."""
        if self.waiting:
            self.waiting.popleft().set()
        else:
            self.taken = False


class _Turn:
    """One batch's place; `held` because a greenlet may be killed while it waits for its next turn."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._held = False

    def take(self) -> None:
        if self._line.taken:
            self._wait()
        self._line.taken = self._held = True

    def pass_on(self) -> None:
        """Let the others have theirs."""
        # Sockets first, while the turn is ours: who is next would otherwise begin before the hub has looked at them.
        _look()
        if self._line.waiting:
            self.give_up()
            self.take()

    def give_up(self) -> None:
        if self._held:
            self._held = False
            self._line.free()

    def _wait(self) -> None:
        called = Signal()
        self._line.waiting.append(called)
        try:
            called.wait()
        except BaseException:
            if called in self._line.waiting:
                self._line.waiting.remove(called)
            else:
                # Called at the same moment.
                self._line.free()
            raise


class _Slices:
    """Measures how long its batch has computed."""

    def __init__(self, seconds: float, between: Callable[[], None]) -> None:
        self._seconds = seconds
        self._between = between
        self._ends = time.monotonic() + seconds

    def pause(self) -> None:
        """Let the hub turn when a slice is over."""
        if time.monotonic() > self._ends:
            self._between()
            self._ends = time.monotonic() + self._seconds


def _look() -> None:
    gevent.sleep(_A_MOMENT_S)
