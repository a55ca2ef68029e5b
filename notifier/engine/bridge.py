"""`Engine`: one uvloop event loop in one native thread, and the only way into it for greenlets and threads.

Why a native thread: greenlets share one OS thread and CPython allows one running loop per OS thread, so of 40
concurrent `asyncio.run` in greenlets 39 fail, and a loop in a patched thread is seen as running by every greenlet. The
thread is started by the original `_thread.start_new_thread` and the loop is made inside it, so that nothing in it
belongs to gevent.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, NoReturn, TypeVar

import uvloop

from notifier.engine.wakeups import Waiter, Waiters, native
from notifier.errors import DeadlineExceeded, EngineStopped

T = TypeVar("T")

#: How long a cancelled coroutine may take to end before we stop waiting for it and say that its effect is unknown.
CANCEL_GRACE_S = 5.0
#: The loop writes down the time this often; silence for `SILENCE_S` means it is stuck or dead (liveness probe).
HEARTBEAT_S = 0.5
SILENCE_S = 10.0
START_TIMEOUT_S = 10.0
#: libuv looks names up in half of its threads. With its default of 4, two names whose servers stay silent stall every
#: other look-up of the process: 8 such names held ``localhost`` up for 40 s (measured).
LIBUV_THREADS = 64


class _NoExecutor(ThreadPoolExecutor):
    """A default executor that refuses.

    Under `patch_all()` its threads would be greenlets of a hub that never runs: `to_thread` would hang for ever instead
    of failing. Host names do not need it: uvloop resolves them in libuv's own threads.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ARG002 - the signature is the library's
        raise RuntimeError(f"{fn!r} wanted a thread of the engine's loop; there are none (see notifier.engine.bridge)")


class _Call(Generic[T]):
    """One coroutine on its way through the loop. The loop's thread writes it; its caller reads after the wake-up."""

    def __init__(self, make: Callable[[], Awaitable[T]], waiter: Waiter) -> None:
        self._make = make
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False
        self._ended = False
        self._results: list[T] = []
        self._error: BaseException | None = None
        self.waiter = waiter

    def begin(self) -> None:
        """Start the coroutine."""
        if self._cancelled:
            self.fail(asyncio.CancelledError())
            return
        self._task = asyncio.get_running_loop().create_task(_awaiting(self._make))
        self._task.add_done_callback(self._finish)

    def cancel(self) -> None:
        """End it early; `_finish` follows when it has ended."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def fail(self, error: BaseException) -> None:
        """End a call whose coroutine failed, never began or never will end."""
        if not self._ended:
            self._ended = True
            self._error = error
            self.waiter.wake()

    def result(self) -> T:
        """What the coroutine returned or raised; only after the wake-up."""
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _finish(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.fail(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.fail(error)
        elif not self._ended:
            self._ended = True
            self._results.append(task.result())
            self.waiter.wake()


async def _awaiting(make: Callable[[], Awaitable[T]]) -> T:
    return await make()


class Engine:
    """Runs coroutines for callers that cannot: `start`, then `run` from any greenlet or thread, then `stop`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters = Waiters()
        self._calls: set[_Call[Any]] = set()
        self._thread = 0
        self.native_thread = 0
        """The kernel's id of its thread; 0 while there is none."""
        self._beat = 0.0
        self._accepting = False
        self._farewell: Waiter | None = None

    @property
    def alive(self) -> bool:
        """Whether the loop runs and has turned within the last `SILENCE_S` seconds; liveness probes ask this."""
        return self._loop is not None and time.monotonic() - self._beat < SILENCE_S

    def start(self) -> None:
        """Returns when the loop runs. Blocks the calling thread for the few milliseconds that takes."""
        if self._loop is not None:
            raise RuntimeError("this engine already runs")
        self._waiters = Waiters()
        self._farewell = None
        ready = native("_thread", "allocate_lock")()
        ready.acquire()
        native("_thread", "start_new_thread")(self._live, (ready,))
        if not ready.acquire(timeout=START_TIMEOUT_S):
            raise EngineStopped(f"the engine's thread did not start within {START_TIMEOUT_S:g} s")

    def run(self, make: Callable[[], Awaitable[T]], timeout: float) -> T:
        """Run ``make()`` in the loop and return its result or raise its exception.

        After ``timeout`` seconds it is cancelled, and only when it has ended `DeadlineExceeded` is raised: a mail whose
        sender gave up waiting must not go out behind its back. If it had its result by then, that is returned.
        The same holds when the waiting greenlet is killed.
        """
        call = self._submit(make)
        try:
            try:
                in_time = call.waiter.wait(timeout)
            except BaseException:
                self._cancel(call)
                raise
            if not in_time and not self._cancel(call):
                raise DeadlineExceeded(
                    f"not done within {timeout:g} s and still running {CANCEL_GRACE_S:g} s after being cancelled: "
                    "what it did is unknown"
                )
        finally:
            self._calls.discard(call)
        try:
            return call.result()
        except asyncio.CancelledError as error:
            # As a BaseException it would pass every `except Exception` on its way and lose the task's ack.
            if self._accepting:
                raise DeadlineExceeded(f"not done within {timeout:g} s; it was cancelled and has ended") from error
            raise EngineStopped("the engine stopped; the coroutine was cancelled and has ended") from error

    def stop(self, grace: float) -> None:
        """Take nothing new, let what runs finish within ``grace`` seconds, cancel the rest, end the thread."""
        if self._loop is None:
            return
        self._accepting = False
        self._farewell = self._waiters.new()
        self._in_loop(lambda: self._end_after(grace))
        if not self._farewell.wait(grace + 2 * CANCEL_GRACE_S):
            raise EngineStopped(f"the engine's thread still ran {2 * CANCEL_GRACE_S:g} s after its grace time")
        self._waiters.close()

    def _submit(self, make: Callable[[], Awaitable[T]]) -> _Call[T]:
        if not self._accepting:
            raise EngineStopped("the engine is not running; nothing was begun")
        if native("_thread", "get_ident")() == self._thread:
            raise RuntimeError("Engine.run was called inside the engine's own loop: await the coroutine instead")
        call = _Call(make, self._waiters.new())
        # Known before it is handed over, so that a loop that ends at this moment still wakes it.
        self._calls.add(call)
        if not self._in_loop(call.begin):
            self._calls.discard(call)
            raise EngineStopped("the engine's loop has ended; nothing was begun")
        return call

    def _cancel(self, call: _Call[Any]) -> bool:
        self._in_loop(call.cancel)
        return call.waiter.wait(CANCEL_GRACE_S)

    def _in_loop(self, callback: Callable[[], None]) -> bool:
        loop = self._loop
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError:  # closed at this moment; the thread's last act ends every call that is left
            return False
        return True

    # What follows runs in the engine's thread.

    def _live(self, ready: Any) -> None:
        os.environ.setdefault("UV_THREADPOOL_SIZE", str(LIBUV_THREADS))
        loop = uvloop.new_event_loop()
        loop.set_default_executor(_NoExecutor())
        self._thread = native("_thread", "get_ident")()
        self.native_thread = threading.get_native_id()
        self._loop = loop
        self._pulse(loop)
        self._accepting = True
        ready.release()
        try:
            loop.run_forever()
        finally:
            self._accepting = False
            self._loop = None
            self._thread = self.native_thread = 0
            # Waking comes before closing: an error while closing must not leave anybody waiting.
            for call in list(self._calls):
                call.fail(EngineStopped("the engine's loop ended while this ran; what it did is unknown"))
            try:
                loop.close()
            finally:
                if self._farewell is not None:
                    self._farewell.wake()

    def _pulse(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat = time.monotonic()
        loop.call_later(HEARTBEAT_S, self._pulse, loop)

    def _end_after(self, grace: float) -> None:
        loop = asyncio.get_running_loop()
        ending = loop.create_task(self._drain(grace))
        ending.add_done_callback(lambda _: loop.stop())

    async def _drain(self, grace: float) -> None:
        deadline = time.monotonic() + grace
        for cancelling in (False, True):
            running = asyncio.all_tasks() - {asyncio.current_task()}
            if not running:
                return
            if cancelling:
                for task in running:
                    task.cancel()
            await asyncio.wait(running, timeout=CANCEL_GRACE_S if cancelling else max(0, deadline - time.monotonic()))
