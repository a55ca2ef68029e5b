"""`Slots`: a bounded semaphore for threads and greenlets that hands each slot on in the order of arrival.

Not `threading.BoundedSemaphore`: it asks its own lock whether it is held by trying to take it, and gevent answers such
a try with a trip through the hub, so that loops which spin get somewhere. Every release then cost a busy worker the
turn of all other greenlets, with the lock held meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque


class Slots:
    """So many at once; `acquire`, then `release`."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._guard = threading.Lock()
        self._line: deque[threading.Lock] = deque()

    def acquire(self, timeout: float) -> bool:
        """Whether a slot was free, or became free within ``timeout`` seconds."""
        with self._guard:
            if self._free:
                self._free -= 1
                return True
            turn = threading.Lock()
            turn.acquire()
            self._line.append(turn)
        try:
            called = turn.acquire(timeout=timeout)
        except BaseException:
            # A greenlet may be killed while it waits.
            if not self._leave(turn):
                self.release()
            raise
        # At the same moment it may have been called after all.
        return called or not self._leave(turn)

    def release(self) -> None:
        """To who is next, or to whoever comes."""
        with self._guard:
            if self._line:
                self._line.popleft().release()
            else:
                self._free += 1

    def _leave(self, turn: threading.Lock) -> bool:
        """Whether it still stood in line; False when the slot is its own."""
        with self._guard:
            if turn in self._line:
                self._line.remove(turn)
                return True
            return False
