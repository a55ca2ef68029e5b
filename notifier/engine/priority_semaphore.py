"""`PriorityLine` and `PrioritySemaphore`: the most urgent who waits is served, not the first that came.

A slow relay or receiver makes a line in front of its connections. In a plain line a password reset stands behind every
newsletter that is already there; here it is let past, and the newsletters past it again when they have waited too long.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from contextvars import ContextVar
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

#: Seconds by which whoever runs in this context lets others past who come later and have less: 0 is the most urgent.
#: A context variable, because what waits for a slot is many calls below what knows how urgent it is.
HANDICAP: ContextVar[float] = ContextVar("handicap", default=0.0)


class Dismissed(Exception):
    """Those in line were sent away."""


class PriorityLine(Generic[T]):
    """Those who wait for a thing, served by time of arrival plus `HANDICAP`, so that nobody waits for ever."""

    def __init__(self) -> None:
        self._line: list[tuple[float, int, asyncio.Future[T], float]] = []
        self._tickets = count()
        self.waiting = 0
        """How many wait."""

    def wanted(self, below: float = math.inf) -> bool:
        """Whether who is next has a handicap smaller than ``below`` seconds; False when nobody waits."""
        while self._line and self._line[0][2].done():
            heapq.heappop(self._line)  # it gave up
        return bool(self._line) and self._line[0][3] < below

    async def wait(self, unwanted: Callable[[T], None]) -> T:
        """What somebody hands over. ``unwanted`` gets it when whoever waits is cancelled at that same moment."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[T] = loop.create_future()
        handicap = HANDICAP.get()
        heapq.heappush(self._line, (loop.time() + handicap, next(self._tickets), turn, handicap))
        self.waiting += 1
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.done() or turn.cancelled():
                self.waiting -= 1
            elif turn.exception() is None:
                unwanted(turn.result())
            raise

    def serve(self, thing: T) -> bool:
        """Hand it to who is next; False: nobody waits."""
        while self._line:
            _, _, turn, _ = heapq.heappop(self._line)
            if not turn.done():
                self.waiting -= 1
                turn.set_result(thing)
                return True
        return False

    def dismiss(self) -> None:
        """Whoever waits gets `Dismissed`."""
        line, self._line = self._line, []
        for _, _, turn, _ in line:
            if not turn.done():
                self.waiting -= 1
                turn.set_exception(Dismissed())


class PrioritySemaphore:
    """`asyncio.Semaphore`, served in the order of a `PriorityLine`."""

    def __init__(self, value: int) -> None:
        self._free = value
        self._line = PriorityLine[None]()

    def locked(self) -> bool:
        """Whether `acquire` would wait."""
        return self._free == 0

    def wanted(self, below: float = math.inf) -> bool:
        """Whether who is next has a handicap smaller than ``below`` seconds; False when nobody waits."""
        return self._line.wanted(below)

    def dismiss(self) -> None:
        """Whoever waits gets `Dismissed` instead of a slot."""
        self._line.dismiss()

    async def acquire(self) -> bool:
        """Take a slot, waiting for one. Raises `Dismissed`."""
        if self._free:
            self._free -= 1
        else:
            await self._line.wait(lambda _: self.release())
        return True

    def release(self) -> None:
        """Give a slot back: to who is next, or to whoever comes."""
        if not self._line.serve(None):
            self._free += 1
