"""Two Redis servers, one the replica of the other, and the Sentinel that decides which of them is the primary."""

import contextlib
import shutil
import signal
import subprocess
from pathlib import Path

import redis

from tests.servers.ports import free_port
from tests.servers.processes import start, stop_group, wait_until
from tests.servers.redis import find_server
from tests.servers.rights import redis_users

SERVICE = "orders"
#: Milliseconds of silence after which the Sentinel takes a server for dead; a busy machine is silent for a while too.
DOWN_AFTER_MS = 3000


class ReplicatedRedis:
    """A primary and a replica under one Sentinel, each on a port of its own."""

    def __init__(self, directory: Path) -> None:
        self._binary = find_server()
        self._directory = directory
        directory.mkdir()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        first, second, self._sentinel = free_port(), free_port(), free_port()
        self.start(first)
        self.start(second, "--replicaof", f"127.0.0.1 {first}")
        self._watch(first)

    @property
    def url(self) -> str:
        """Where our connections are told to ask."""
        return f"sentinel://127.0.0.1:{self._sentinel}/{SERVICE}/0"

    @property
    def primary(self) -> int:
        """The port of the server that Sentinel names now."""
        with self._client(self._sentinel) as client:
            return int(client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE)[1])

    def start(self, port: int, *options: str) -> None:
        """Starts a server; one that was there before knows its data and its role of then."""
        place = self._directory / str(port)
        configuration = place / "redis.conf"
        if not place.exists():
            place.mkdir()
            configuration.write_text("".join(f"{line}\n" for line in redis_users()))
        arguments = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(place), "--appendonly", "yes"]
        arguments += ["--save", "", "--repl-diskless-sync-delay", "0", *options]
        process = self._processes[port] = start([self._binary, str(configuration), *arguments], place / "log")
        wait_until(lambda: self._answers(port), process, place / "log")

    def kill(self, port: int) -> None:
        """Ends a server at once."""
        stop_group(self._processes.pop(port), signal.SIGKILL)

    def fail_over(self) -> None:
        """What an operator does before an upgrade: the replica becomes the primary."""
        with self._client(self._sentinel) as client:
            client.execute_command("SENTINEL FAILOVER", SERVICE)

    def is_settled(self) -> bool:
        """Whether the only primary of two running servers is the one that Sentinel names."""
        ports = [port for port in self._processes if port != self._sentinel]
        return sorted(map(self.role, ports)) == ["master", "slave"] and self.role(self.primary) == "master"

    def value(self, port: int, key: str) -> str | None:
        """What one server has, whatever its role is."""
        with self._client(port) as client:
            found: str | None = client.get(key)
            return found

    def role(self, port: int) -> str:
        """``master`` or ``slave``."""
        with self._client(port) as client:
            return str(client.execute_command("ROLE")[0])

    def close(self) -> None:
        """Ends all of them and removes their data."""
        for port in list(self._processes):
            self.kill(port)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _watch(self, primary: int) -> None:
        place = self._directory / "sentinel.conf"
        place.write_text(
            f"port {self._sentinel}\nbind 127.0.0.1\ndir {self._directory}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        log = self._directory / "sentinel.log"
        process = self._processes[self._sentinel] = start([self._binary, str(place), "--sentinel"], log)
        wait_until(self._knows_its_replica, process, log)

    def _knows_its_replica(self) -> bool:
        if not self._answers(self._sentinel):
            return False
        with self._client(self._sentinel) as client:
            replicas = client.execute_command("SENTINEL REPLICAS", SERVICE)
            fields = [dict(zip(one[::2], one[1::2], strict=True)) if isinstance(one, list) else one for one in replicas]
            return any(one["master-link-status"] == "ok" for one in fields)

    def _answers(self, port: int) -> bool:
        with contextlib.suppress(redis.ConnectionError), self._client(port) as client:
            return bool(client.ping())
        return False

    def _client(self, port: int) -> redis.Redis:
        return redis.Redis(port=port, decode_responses=True)
