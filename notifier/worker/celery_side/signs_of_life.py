"""`SignsOfLife`: the key in Redis by which other workers know that this one lives, renewed from the engine's loop.

Renewed by a greenlet it would lapse whenever something held the hub up for longer than the key lives, and others would
send again what this worker is sending. The engine's thread goes on beside the hub. So that a worker whose hub never
turns again is not taken for a living one, the hub tells that it turns; when it has not for long, the signs end.
"""

from __future__ import annotations

import asyncio
import logging
import time

from notifier.errors import StorageUnavailable
from notifier.logs import get, wide
from notifier.storage import claims
from notifier.storage.store import AsyncStore

#: Seconds between signs of life, and how long one counts: a killed worker's claims are taken over after the second.
EVERY_S = 2.0
TTL_S = 8.0
#: Seconds without a turn of the hub after which it is taken for stuck. The longest stops known took a quarter of it.
HUB_SILENCE_S = 60.0

_log = get("worker")


class SignsOfLife:
    """One per worker process."""

    def __init__(
        self,
        store: AsyncStore,
        owner: str,
        *,
        every: float = EVERY_S,
        ttl: float = TTL_S,
        hub_silence: float = HUB_SILENCE_S,
    ) -> None:
        self._store = store
        self._owner = owner
        self._every = every
        self._ttl = ttl
        self._hub_silence = hub_silence
        self._turned = time.monotonic()
        self._is_silent = False
        self._has_ended = False
        self._task: asyncio.Task[None] | None = None

    def hub_turns(self) -> None:
        """Called on the hub, every few seconds."""
        self._turned = time.monotonic()

    async def begin(self) -> None:
        """In the engine's loop: returns after the first sign, and goes on until `end`."""
        self.hub_turns()
        await self._give()
        self._task = asyncio.get_running_loop().create_task(self._repeat())

    async def end(self) -> None:
        """In the engine's loop: no more signs. The last one counts until its time is up, or a farewell."""
        self._has_ended = True
        if self._task is not None:
            # Until Python 3.12 a cancellation can get lost in `asyncio.wait_for`, by which redis-py writes: then the
            # sign that is being given is the last one.
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._store.close()

    async def _repeat(self) -> None:
        while not self._has_ended:
            await asyncio.sleep(self._every)
            if not self._is_stuck():
                await self._give()

    def _is_stuck(self) -> bool:
        silence = time.monotonic() - self._turned
        was_silent, self._is_silent = self._is_silent, silence > self._hub_silence
        if self._is_silent and not was_silent:
            fix = "what is in its hands goes to other workers; restart it, and see where it is with py-spy dump"
            wide(_log, "liveness.hub_stuck", level=logging.ERROR, silent_s=round(silence), fix=fix)
        return self._is_silent

    async def _give(self) -> None:
        try:
            await self._store.run(claims.heartbeat(self._owner, self._ttl))
        except StorageUnavailable as error:
            # Without Redis nothing is claimed by anyone, so a missed sign of life changes nothing.
            wide(_log, "liveness.missed", level=logging.DEBUG, error=str(error))
        except Exception:
            # A bug, told with its trace. The next sign may come through.
            _log.exception("liveness.crashed")
