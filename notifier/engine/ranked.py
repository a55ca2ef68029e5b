"""`RankedSemaphore`: slots that go to the most urgent one who waits, not to the first that came.

A slow relay or receiver makes a line in front of its connections. In a plain line a password reset stands behind every
newsletter that is already there; here it is let past, and the newsletters past it again when they have waited too long.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from contextvars import ContextVar
from itertools import count

#: Seconds by which whoever runs in this context lets others past who come later and have less: 0 is the most urgent.
#: A context variable, because what waits for a slot is many calls below what knows how urgent it is.
HANDICAP: ContextVar[float] = ContextVar("handicap", default=0.0)


class Dismissed(Exception):
    """Those in line were sent away."""


class RankedSemaphore:
    """`asyncio.Semaphore`, served by time of arrival plus `HANDICAP`, so that nobody waits for ever."""

    def __init__(self, value: int) -> None:
        self._free = value
        self._line: list[tuple[float, int, asyncio.Future[None], float]] = []
        self._tickets = count()

    def locked(self) -> bool:
        """Whether `acquire` would wait."""
        return self._free == 0

    @property
    def free(self) -> int:
        """Slots that whoever comes gets at once."""
        return self._free

    def wanted(self, below: float = math.inf) -> bool:
        """Whether who is next has a handicap smaller than ``below`` seconds; False when nobody waits."""
        while self._line and self._line[0][2].done():
            heapq.heappop(self._line)  # it gave up
        return bool(self._line) and self._line[0][3] < below

    def dismiss(self) -> None:
        """Whoever waits gets `Dismissed` instead of a slot."""
        line, self._line = self._line, []
        for _, _, turn, _ in line:
            if not turn.done():
                turn.set_exception(Dismissed())

    async def acquire(self) -> bool:
        """Take a slot, waiting for one. Raises `Dismissed`."""
        if self._free:
            self._free -= 1
            return True
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        handicap = HANDICAP.get()
        heapq.heappush(self._line, (loop.time() + handicap, next(self._tickets), turn, handicap))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # The slot was handed over at the same moment. Who was dismissed then has none to give back.
                self.release()
            raise
        return True

    def release(self) -> None:
        """Give a slot back: to who is next, or to whoever comes."""
        while self._line:
            _, _, turn, _ = heapq.heappop(self._line)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
