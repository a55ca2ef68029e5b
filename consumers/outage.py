"""`OutageRetry`: do a step, and do it again while Redis is away or a queue is full; its messages wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from consumers.backoff import Backoff
from notifier import metrics
from notifier.errors import NotifierError, PublishRejected, StorageUnavailable

T = TypeVar("T")

#: What passes by itself while the connection to the broker is fine.
_PASSES = (StorageUnavailable, PublishRejected)
#: Longest pause between two tries: workers empty a full queue within seconds of starting.
RETRY_S = 2.0


class OutageRetry:
    """Shared by all groups of a session, so that waiting begins with the first of them and ends with the last."""

    def __init__(self, limit: float, on_wait: Callable[[str | None], None]) -> None:
        """``limit`` is how many seconds a step may be tried; ``on_wait`` hears why messages wait, or None."""
        self._limit = limit
        self._on_wait = on_wait
        self._waiting = 0
        self._over = asyncio.Event()

    def end(self) -> None:
        """From now on the first error is the last: whoever waits gives up at once."""
        self._over.set()

    async def insist(self, step: Callable[[], Awaitable[T]]) -> T:
        """The step's result. Raises its last `StorageUnavailable` or `PublishRejected` when patience ends."""
        try:
            return await step()
        except _PASSES as error:
            return await self._again(step, error)

    async def _again(self, step: Callable[[], Awaitable[T]], error: NotifierError) -> T:
        backoff = Backoff(longest=RETRY_S)
        give_up = asyncio.get_running_loop().time() + self._limit
        self._waiting += 1
        try:
            while asyncio.get_running_loop().time() < give_up and not self._over.is_set():
                self._report(error)
                if await self._ended_within(backoff.seconds()):
                    break
                try:
                    return await step()
                except _PASSES as again:
                    error = again
            raise error
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._on_wait(None)

    async def _ended_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._over.wait()
        except TimeoutError:
            return False

    def _report(self, error: NotifierError) -> None:
        if isinstance(error, StorageUnavailable):
            metrics.REDIS_RECONNECTS.inc()
        self._on_wait(str(error))
