"""An event loop in a thread of its own, for servers written here."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from tests.servers.patience import PATIENCE_S

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for callers in other threads; `close` cancels what is left and joins the thread."""

    def __init__(self, name: str) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T], timeout: float = PATIENCE_S) -> T:
        """Runs a coroutine on the loop and returns what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def close(self, last: Callable[[], Awaitable[object]] | None = None) -> None:
        """Runs `last`, cancels every task and ends the thread."""
        self.call(self._finish(last))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "uvloop waits for a connection that nobody has closed"

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        # Here: it may wait for ever, in C where no signal ends it, for a connection accepted at the last moment.
        self.loop.close()

    async def _finish(self, last: Callable[[], Awaitable[object]] | None) -> None:
        if last is not None:
            await last()
        # Who was let in at this moment has a task after one more turn; cancelled before it runs, it closes nothing.
        await asyncio.sleep(0)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what they closed lets its socket go
