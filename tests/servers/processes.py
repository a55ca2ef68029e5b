"""Child processes that never outlive the test run, and waiting for them without guessing how long they take."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.servers.patience import PATIENCE_S


class ServerMissing(RuntimeError):
    """A server binary that a test needs is not installed; the message says how to install it."""


class ServerBroken(RuntimeError):
    """A server did not start or ended by itself; the message carries the end of its log."""


def find_binary(*candidates: str, install: str) -> str:
    """The first of the candidates that is on PATH or is an absolute path to an executable."""
    for candidate in candidates:
        found = shutil.which(candidate)
        if found:
            return found
    raise ServerMissing(f"none of {', '.join(candidates)} found; install it with: {install}")


def start(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, *, tied: bool = True
) -> subprocess.Popen[bytes]:
    """Starts a server in a process group of its own; a tied one the kernel kills when the test process dies (Linux)."""
    # Its whole path: the environment given may have another PATH.
    setpriv = shutil.which("setpriv") if tied else None
    prefix = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
    with log.open("ab") as output:
        return subprocess.Popen(
            [*prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, timeout: float = PATIENCE_S
) -> None:
    """Polls until the server answers; a server that ended instead is reported at once, with its last words."""
    deadline = time.monotonic() + timeout
    while not ready():
        if process.poll() is not None:
            raise ServerBroken(f"{process.args!r} ended with status {process.returncode}:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise ServerBroken(f"{process.args!r} does not answer after {timeout:.0f} s:\n{_tail(log)}")
        time.sleep(0.05)


def stop_group(process: subprocess.Popen[bytes], stop_signal: signal.Signals, timeout: float = 30.0) -> None:
    """Signals the whole process group and waits; what has not ended by then is killed."""
    _signal_group(process, stop_signal)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    try:
        os.killpg(process.pid, stop_signal)
    except ProcessLookupError:
        return


def _tail(log: Path, size: int = 4000) -> str:
    return log.read_bytes()[-size:].decode(errors="replace") if log.exists() else "(no log)"
