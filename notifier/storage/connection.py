"""From NOTIFIER_REDIS_URL to a `Store`, and what must be true of the server before anything is kept in it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from redis import exceptions as redis_errors
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.retry import Retry
from redis.sentinel import Sentinel

from notifier.client.server_url import read_server_url
from notifier.errors import Problem
from notifier.storage.cluster import AsyncClusterExchanger, ClusterExchanger
from notifier.storage.faults import FOREIGN, raise_ours
from notifier.storage.store import AsyncStore, Store
from notifier.storage.wire import ELSEWHERE, AsyncExchanger, Exchanger

#: Seconds for a connect and for a reply. Our slowest script takes milliseconds; a server silent for longer is away.
SOCKET_TIMEOUT_S = 5.0
#: LPOS, GETEX and COPY came with 6.2 or before; older servers are out of support.
OLDEST_VERSION = (6, 2)
SERVER_PORT, SENTINEL_PORT = 6379, 26379
#: Seconds for a Sentinel, which answers from memory: the next one is asked instead of waiting for one that is away.
SENTINEL_TIMEOUT_S = 1.0
VARIABLE = "NOTIFIER_REDIS_URL"
_SENTINEL_TIMEOUTS = {"socket_timeout": SENTINEL_TIMEOUT_S, "socket_connect_timeout": SENTINEL_TIMEOUT_S}


def connect(url: str, *, ca_file: Path | None = None, connections: int = 16) -> Store:
    """A store for threads and greenlets, which share at most ``connections`` connections. Connects at first use."""
    options = {**_options(url, ca_file), "retry": Retry(NoBackoff(), 1, (redis_errors.ConnectionError,))}
    packer = {"command_packer": CommandPacker()}
    if sentinels := _sentinels(url):
        found: Any = Sentinel(  # type: ignore[no-untyped-call]
            sentinels.addresses, sentinel_kwargs={**options, **_SENTINEL_TIMEOUTS}, **options
        )
        client = found.master_for(sentinels.service, **sentinels.server_options(), **packer)
        return Store(Exchanger(client), connections)
    if cluster := _cluster(url):
        return Store(
            ClusterExchanger(
                lambda node: redis.Redis.from_url(cluster.url(node), **cluster.login(), **options, **packer),
                cluster.addresses,
            ),
            connections,
        )
    return Store(Exchanger(redis.Redis.from_url(url, **options, **packer)), connections)


def connect_async(url: str, *, ca_file: Path | None = None, connections: int = 16) -> AsyncStore:
    """A store for asyncio. Connects at first use."""
    options = {**_options(url, ca_file), "retry": AsyncRetry(NoBackoff(), 1, ELSEWHERE)}
    if sentinels := _sentinels(url):
        found: Any = AsyncSentinel(  # type: ignore[no-untyped-call]
            sentinels.addresses, sentinel_kwargs={**options, **_SENTINEL_TIMEOUTS}, **options
        )
        client = found.master_for(sentinels.service, **sentinels.server_options())
        return AsyncStore(AsyncExchanger(client), connections)
    if cluster := _cluster(url):
        return AsyncStore(
            AsyncClusterExchanger(
                lambda node: redis.asyncio.Redis.from_url(cluster.url(node), **cluster.login(), **options),
                cluster.addresses,
            ),
            connections,
        )
    return AsyncStore(AsyncExchanger(redis.asyncio.Redis.from_url(url, **options)), connections)


class CommandPacker:
    """Writes a command in the Redis protocol: redis-py's own packer is half the time of a claim (17 µs)."""

    def pack(self, *words: str | bytes | float) -> list[bytes]:
        """``SCRIPT LOAD`` as first word counts as two, as everywhere in redis-py."""
        head = str(words[0]).split()
        parts = [_encoded(word) for word in (*head, *words[1:])]
        return [b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%b\r\n" % (len(p), p) for p in parts])]


def _encoded(word: str | bytes | float) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")


def _options(url: str, ca_file: Path | None) -> dict[str, Any]:
    """Connection options of both clients.

    One repeat on a broken connection and none on a timeout: a kept connection is stale after every restart of the
    server, and all that is sent is idempotent; redis-py's own ten repeats would hide an outage for seconds.
    """
    options: dict[str, Any] = {
        "decode_responses": True,
        # Lone surrogates are valid in JSON strings, so in event ids; they must survive, not raise.
        "encoding_errors": "surrogatepass",
        # RESP3 changes the shape of replies; 2 is what 6.2 and every proxy speak.
        "protocol": 2,
        # Otherwise each connection reads its version from the installed package's files: half a millisecond or more.
        "driver_info": DriverInfo(),
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": SOCKET_TIMEOUT_S,
    }
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
        options["socket_keepalive_options"] = _keepalive()
    if url.startswith("sentinels:"):
        options["ssl"] = True
    if ca_file is not None and url.startswith(("rediss:", "sentinels:", "clusters:")):
        options["ssl_ca_certs"] = str(ca_file)
    return options


def _keepalive() -> dict[int, int]:
    """Probe after 30 s of silence: firewalls drop idle connections without a word (Linux names; none elsewhere)."""
    wanted = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


@dataclass(frozen=True, slots=True)
class _Sentinels:
    addresses: list[tuple[str, int]]
    service: str
    db: int
    username: str | None
    password: str | None

    def server_options(self) -> dict[str, Any]:
        return {"db": self.db, "username": self.username, "password": self.password}


def _sentinels(url: str) -> _Sentinels | None:
    """``sentinel://[user:password@]h1:26379,h2:26379/service/db``; user and password are the data server's."""
    if not url.startswith(("sentinel://", "sentinels://")):
        return None
    found = read_server_url(url, ("sentinel", "sentinels"), several=True)
    service, _, db = found.path.partition("/")
    return _Sentinels(
        addresses=[(host, port or SENTINEL_PORT) for host, port in found.hosts],
        service=service or "mymaster",
        db=int(db or 0),
        username=found.username or None,
        password=found.password or None,
    )


@dataclass(frozen=True, slots=True)
class _Cluster:
    has_tls: bool
    addresses: list[tuple[str, int]]
    username: str | None
    password: str | None

    def url(self, node: tuple[str, int]) -> str:
        host = f"[{node[0]}]" if ":" in node[0] else node[0]
        return f"{'rediss' if self.has_tls else 'redis'}://{host}:{node[1]}/0"

    def login(self) -> dict[str, Any]:
        return {"username": self.username, "password": self.password}


def _cluster(url: str) -> _Cluster | None:
    """``cluster://[user:password@]h1:6379,h2:6379``: some of the nodes, which name the others."""
    if not url.startswith(("cluster://", "clusters://")):
        return None
    found = read_server_url(url, ("cluster", "clusters"), several=True)
    return _Cluster(
        has_tls=found.scheme == "clusters",
        addresses=[(host, port or SERVER_PORT) for host, port in found.hosts],
        username=found.username or None,
        password=found.password or None,
    )


@dataclass(frozen=True, slots=True)
class Checkup:
    """What a look at the server found."""

    version: str
    """``redis 7.0.15`` or ``valkey 8.1.0``."""
    problems: tuple[Problem, ...]
    """Data would be lost: do not start (unless NOTIFIER_REDIS_CHECK is off)."""
    warnings: tuple[Problem, ...]
    """What could not be seen."""


def check(store: Store) -> Checkup:
    """Whether the server, or each primary of a Cluster, keeps what it is given (T36, T37).

    Raises `StorageUnavailable` when one is away.
    """
    try:
        asked = [_asked(client) for client in store.clients()]
    except FOREIGN as error:
        raise_ours(error)
    versions = sorted({f"{_name(one.info)} {one.info.get(_name(one.info) + '_version', '')}" for one in asked})
    problems = [problem for one in asked for problem in _problems(one, store.is_cluster)]
    warnings = [problem for one in asked for problem in _warnings(one, store.is_cluster)]
    return Checkup(" and ".join(versions), _once(problems), _once(warnings))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one server says of itself."""

    info: dict[str, Any]
    config: dict[Any, Any]
    """Empty where it does not let us read it."""

    @property
    def is_node(self) -> bool:
        """Of a Cluster."""
        return "cluster" in (self.info.get("redis_mode"), self.info.get("server_mode"))


def _asked(client: redis.Redis) -> _Asked:
    info: dict[str, Any] = client.info("server")
    try:
        return _Asked(info, client.config_get("maxmemory-policy", "appendonly", "cluster-require-full-coverage"))
    except redis_errors.ResponseError:  # NoPermissionError too: CONFIG is renamed or not allowed for this user
        return _Asked(info, {})


def _name(info: dict[str, Any]) -> str:
    return "valkey" if "valkey_version" in info else "redis"


def _once(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Nodes are set up alike, so what is wrong with one is with all; each is said once."""
    return tuple({str(problem): problem for problem in problems}.values())


def _problems(asked: _Asked, is_cluster: bool) -> list[Problem]:
    name = _name(asked.info)
    version = str(asked.info.get(f"{name}_version", ""))
    return [
        *_topology_problems(asked, is_cluster),
        *_version_problems(name, version),
        *_config_problems(asked.config),
    ]


def _topology_problems(asked: _Asked, is_cluster: bool) -> list[Problem]:
    if asked.is_node and not is_cluster:
        advice = "name some of its nodes: cluster://host:6379,host2:6379"
        return [Problem(VARIABLE, "the server is a node of a Redis Cluster", advice)]
    return []


def _warnings(asked: _Asked, is_cluster: bool) -> list[Problem]:
    if not asked.config:
        return [
            Problem(
                VARIABLE,
                "the server does not let us read its configuration (CONFIG)",
                "make sure it has maxmemory-policy noeviction and appendonly yes, then set NOTIFIER_REDIS_CHECK=false",
            )
        ]
    if is_cluster and asked.config.get("cluster-require-full-coverage") == "yes":
        what = "one lost primary stops all of the Cluster (cluster-require-full-coverage yes)"
        return [Problem(VARIABLE, what, "set cluster-require-full-coverage no: the other primaries then go on")]
    return []


def _version_problems(name: str, version: str) -> list[Problem]:
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if name == "redis" and numbers < OLDEST_VERSION:
        return [Problem(VARIABLE, f"the server is Redis {version}", "use Redis 6.2 or later, or Valkey")]
    return []


def _config_problems(config: dict[Any, Any]) -> list[Problem]:
    problems = []
    if (policy := config.get("maxmemory-policy", "noeviction")) != "noeviction":
        what = f"the server evicts keys when memory is short (maxmemory-policy {policy}): mails would be sent twice"
        problems.append(Problem(VARIABLE, what, "give us our own server and set maxmemory-policy noeviction"))
    if config.get("appendonly", "yes") != "yes":
        what = "the server keeps nothing on disk between snapshots (appendonly no): digests and endpoints can be lost"
        problems.append(Problem(VARIABLE, what, "set appendonly yes and appendfsync everysec"))
    return problems
