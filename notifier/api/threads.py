"""`Threads`: what the API does in threads, so that a publish waits neither for a thread nor long for Python's lock.

Publishing has threads of its own: neither listings nor replays that take their time can use them up. Listings are made
one at a time, JSON included: each that runs wants Python's lock, and whoever publishes waits for each in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from pydantic_core import to_json
from starlette.responses import Response

from notifier.errors import Overloaded

T = TypeVar("T")

#: Requests that publish at the same time; each waits for the broker's confirm.
PUBLISHING = 40
#: Listings made at the same time: most of their time is Python's, so two would take as long as one after the other.
LISTING = 1
#: Events looked at at the same time: most have a few deliveries, and their time is Redis's.
LOOKING = 4
#: Batches of imports that are stored at the same time, for the same reason.
IMPORTING = 1
#: Seconds in which a listing begins, or its client is told to come back: 500 endpoints take 0.05 s.
TURN_S = 20.0


class Threads:
    """Of one application."""

    def __init__(self, turn_seconds: float = TURN_S) -> None:
        self._publishing = CapacityLimiter(PUBLISHING)
        self._importing = CapacityLimiter(IMPORTING)
        self._listing = _Turns(LISTING, turn_seconds)
        self._looking = _Turns(LOOKING, turn_seconds)

    async def publish(self, work: Callable[[], T]) -> T:
        """What ``work`` returns."""
        return await to_thread.run_sync(work, limiter=self._publishing)

    async def store(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, which stores a batch of an import; others take turns with it, batch by batch."""
        return await to_thread.run_sync(work, limiter=self._importing)

    async def list(self, work: Callable[[], object]) -> Response:
        """The models that ``work`` returns, as JSON. Raises `Overloaded` when others list all the time.

        FastAPI would write the JSON on the event loop, where nobody is answered meanwhile: 10 ms for 500 endpoints.
        """
        return await self._listing.take(work)

    async def look(self, work: Callable[[], object]) -> Response:
        """As `list`, for what is mostly small: one that is large does not hold up all others."""
        return await self._looking.take(work)


class _Turns:
    def __init__(self, most: int, seconds: float) -> None:
        self._limiter = CapacityLimiter(most)
        self._turns = asyncio.Semaphore(most)
        self._seconds = seconds

    async def take(self, work: Callable[[], object]) -> Response:
        try:
            async with asyncio.timeout(self._seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded(f"so much is being listed that it was no turn of yours in {self._seconds:g} s") from None
        try:
            body = await to_thread.run_sync(lambda: to_json(work()), limiter=self._limiter)
        finally:
            self._turns.release()
        return Response(body, media_type="application/json")
