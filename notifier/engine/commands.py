"""`output_of`: what a command prints, for the engine's loop.

asyncio's own way does not work here: uvloop takes SIGCHLD over for its processes, and gevent, whose own children end by
that signal, then waits for ever (tried: every later `subprocess.run` of the worker hung). So the process is spawned
without anybody's signals, its output read by the loop, and its end asked for now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from notifier.engine.wakeups import native

#: Bytes of output that are read.
MOST_OUTPUT = 64 * 1024
#: Seconds between two looks whether it has ended.
LOOK_S = 0.02


class CommandFailed(Exception):
    """It could not be started, took too long, ended with an error or printed too much."""


async def output_of(command: Sequence[str], environment: Mapping[str, str], seconds: float) -> bytes:
    """What it prints on its standard output. No shell; its standard error is not kept. Raises `CommandFailed`."""
    reading, writing = os.pipe()
    try:
        process = _spawned(command, environment, writing)
    except OSError as error:
        _close(reading)
        raise CommandFailed(f"cannot start {command[0]}: {error.strerror}") from error
    finally:
        _close(writing)
    try:
        async with asyncio.timeout(seconds):
            printed = await _read(reading)
            status = await _ended(process)
    except BaseException as error:
        await _kill(process)
        if isinstance(error, TimeoutError):
            raise CommandFailed(f"{command[0]} took longer than {seconds:g} s and was ended") from None
        raise
    if status:
        raise CommandFailed(f"{command[0]} ended with status {status}")
    return printed


def _spawned(command: Sequence[str], environment: Mapping[str, str], output: int) -> int:
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        files = [(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, nothing, 2)]
        # A group of its own, so that what it starts itself ends with it.
        spawn = native("os", "posix_spawnp")
        return int(spawn(command[0], list(command), dict(environment), file_actions=files, setpgroup=0))
    finally:
        _close(nothing)


def _close(descriptor: int) -> None:
    # gevent's own leaves it open until its loop turns, which this thread has none of: the output would never end.
    native("os", "close")(descriptor)


class _Reader(asyncio.Protocol):
    def __init__(self, ended: asyncio.Future[bytes]) -> None:
        self._ended = ended
        self._read = bytearray()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._read += data
        if len(self._read) > MOST_OUTPUT and not self._ended.done():
            self._ended.set_exception(CommandFailed(f"it printed more than {MOST_OUTPUT} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """Called by the loop."""
        if not self._ended.done():
            self._ended.set_result(bytes(self._read))


async def _read(reading: int) -> bytes:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[bytes] = loop.create_future()
    # Only libuv closes it. uvloop has the file closed once more after that, and by then the number may be that of
    # another thread's new connection, which it would close (seen).
    file = open(reading, "rb", 0, closefd=False)  # noqa: ASYNC230, SIM115 - of a descriptor that is open
    transport, _ = await loop.connect_read_pipe(lambda: _Reader(ended), file)
    try:
        return await ended
    finally:
        transport.close()


async def _ended(process: int) -> int:
    """Its exit status, or minus the signal that ended it."""
    while True:
        try:
            found, status = native("os", "waitpid")(process, os.WNOHANG)
        except ChildProcessError:
            return 0  # gevent's loop collects every child when it has some of its own; what was printed has to do
        if found:
            return os.waitstatus_to_exitcode(status)
        await asyncio.sleep(LOOK_S)


async def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    await asyncio.shield(_ended(process))
