"""`Primary`: where Sentinel says that the primary is, asked once a second by whoever uses a connection then.

In a planned failover the old primary takes writes for about ten seconds after Sentinel names the new one, and throws
them away when it becomes its replica. Who only notices a closed connection or a READONLY writes into it all that time.
"""

from __future__ import annotations

import time
from typing import Any

from redis import exceptions as redis_errors

#: Seconds between two questions, and after one that no Sentinel answered. A question is half a millisecond.
ASK_EVERY_S, ASK_AGAIN_S = 1.0, 10.0


class Primary:
    """One client's. Without a Sentinel it never asks and knows of nothing."""

    __slots__ = ("_address", "_ask_at", "_pool")

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._address: tuple[str, int] | None = None
        self._ask_at = 0.0 if hasattr(pool, "sentinel_manager") else float("inf")

    def is_to_be_asked(self) -> bool:
        """Whether it is time; the caller then asks, and the others go on."""
        if self._ask_at == float("inf") or time.monotonic() < self._ask_at:
            return False
        self._ask_at = time.monotonic() + ASK_EVERY_S
        return True

    def is_elsewhere(self, connection: Any) -> bool:
        """Whether a connection leads to a server that is the primary no more."""
        return (
            self._address is not None
            and connection.is_connected
            and (connection.host, connection.port) != self._address
        )

    def ask(self) -> None:
        """Ask the Sentinels; where none answers, what is known stays."""
        try:
            self._address = self._pool.sentinel_manager.discover_master(self._pool.service_name)
        except (redis_errors.RedisError, OSError):
            self._ask_at = time.monotonic() + ASK_AGAIN_S

    async def ask_async(self) -> None:
        """The same on asyncio."""
        try:
            self._address = await self._pool.sentinel_manager.discover_master(self._pool.service_name)
        except (redis_errors.RedisError, OSError):
            self._ask_at = time.monotonic() + ASK_AGAIN_S
