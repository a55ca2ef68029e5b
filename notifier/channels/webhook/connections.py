"""`Connections`: all that are open, and which of them wait for another exchange with their origin."""

from __future__ import annotations

import asyncio

from notifier.channels.webhook.wire import HttpConnection

#: Seconds an unused connection is kept. Node.js closes its side after 5 s: a POST sent at that very moment would be
#: cut off with nobody knowing whether it arrived.
KEEPALIVE_S = 4.0
#: Seconds between looks for those whose time has passed.
SWEEP_S = 1.0


class Connections:
    """Inside one event loop. Connections tell it what becomes of them (`wire.Owner`)."""

    def __init__(self) -> None:
        self._open: set[HttpConnection] = set()
        # By origin, the longest unused first; an origin without any is forgotten.
        self._free: dict[str, list[HttpConnection]] = {}
        self._sweeping = False
        self._all_lost: asyncio.Future[None] | None = None

    def take(self, origin: str) -> HttpConnection | None:
        """The one used last, because the others are nearer to being closed by their receivers; it is the caller's."""
        free = self._free.get(origin)
        if not free:
            return None
        connection = free.pop()
        if not free:
            del self._free[origin]
        idle = asyncio.get_running_loop().time() - connection.idle_since
        if connection.is_open and idle < min(KEEPALIVE_S, connection.keeps_for):
            return connection
        connection.abort()
        return self.take(origin)

    def opened(self, connection: HttpConnection) -> None:
        """It may carry its first exchange."""
        self._open.add(connection)

    def free(self, connection: HttpConnection) -> None:
        """It has had its answer and may carry another exchange."""
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        free = self._free.get(connection.origin)
        if free is None:
            self._free[connection.origin] = [connection]
        else:
            free.append(connection)
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(KEEPALIVE_S, self._sweep)

    def lost(self, connection: HttpConnection) -> None:
        """It was closed, by whichever side."""
        self._open.discard(connection)
        free = self._free.get(connection.origin)
        if free and connection in free:
            free.remove(connection)
            if not free:
                del self._free[connection.origin]
        if self._all_lost is not None and not self._open and not self._all_lost.done():
            self._all_lost.set_result(None)

    async def close(self) -> None:
        """Close all; returns when none is left."""
        if self._open:
            self._all_lost = asyncio.get_running_loop().create_future()
            for connection in list(self._open):
                connection.abort()
            await self._all_lost

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - KEEPALIVE_S
        for free in self._free.values():
            for connection in free:
                if connection.idle_since > oldest:
                    break
                connection.abort()
        self._sweeping = bool(self._free)
        if self._sweeping:
            loop.call_later(SWEEP_S, self._sweep)
