"""A Redis Cluster of six nodes, three primaries with a replica each, and the faults of one of them."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.servers.patience import poll
from tests.servers.ports import free_port
from tests.servers.redis import RedisServer

PRIMARIES = 3
SLOTS = 16384
#: Milliseconds of silence after which the others take a node for dead. Far beyond what a busy machine is silent for.
NODE_TIMEOUT_MS = 30_000
#: While they get to know each other: how often they speak to one another goes by it.
_JOINING_MS = 1000


class RedisCluster:
    """Six servers; which of them are primaries is for them to decide. Of three, where nobody needs replicas."""

    def __init__(
        self,
        directory: Path,
        *,
        node_timeout_ms: int = NODE_TIMEOUT_MS,
        replicas: bool = True,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)
        self._replicas = PRIMARIES if replicas else 0
        self.nodes = [_start(directory / str(n), options or {}) for n in range(PRIMARIES + self._replicas)]
        self._join()
        for node in self.nodes:
            with _client(node) as client:
                client.config_set("cluster-node-timeout", node_timeout_ms)

    @property
    def url(self) -> str:
        """Two of the nodes: the others are found."""
        first, *_, last = self.nodes
        return f"cluster://127.0.0.1:{first.port},127.0.0.1:{last.port}"

    @property
    def address(self) -> str:
        """The first node, for who knows Cluster by itself."""
        return f"redis://127.0.0.1:{self.nodes[0].port}"

    def primaries(self) -> list[RedisServer]:
        """Those that are primaries now, of the nodes that answer."""
        return [node for node in self.nodes if role(node) == "master"]

    def serving(self, key: str) -> RedisServer:
        """The primary that has a key, as it says itself."""
        for node in self.primaries():
            with _client(node) as client:
                slot = client.execute_command("CLUSTER KEYSLOT", key)
                mine = next((c for c in _lines(client) if "myself" in c[2]), [])
                if any(_covers(part, slot) for part in mine[8:]):
                    return node
        raise AssertionError(f"no primary has {key}")

    def fail_over(self, primary: RedisServer) -> None:
        """What an operator does before an upgrade of a primary: its replica takes over, with nothing lost."""
        with _client(self.replica_of(primary)) as client:
            client.execute_command("CLUSTER FAILOVER")

    def replica_of(self, primary: RedisServer) -> RedisServer:
        """The one that copies a primary."""
        for node in self.nodes:
            if node is not primary and role(node) == "slave":
                with _client(node) as client:
                    if client.execute_command("ROLE")[2] == primary.port:
                        return node
        raise AssertionError(f"no replica of {primary.port}")

    def move_slot(self, key: str, to: RedisServer) -> None:
        """A slot with all its keys goes to another primary, as ``redis-cli --cluster reshard`` moves it."""
        with self.moving_slot(key, to):
            pass

    @contextmanager
    def moving_slot(self, key: str, to: RedisServer, *already: str) -> Iterator[None]:
        """`move_slot`; meanwhile it is under way, and of its keys these have moved ``already``."""
        with _client(self.serving(key)) as old, _client(to) as new:
            slot = old.execute_command("CLUSTER KEYSLOT", key)
            there, here = (c.execute_command("CLUSTER MYID") for c in (new, old))
            new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", here)
            old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", there)
            _migrate(old, to, already)
            yield
            while keys := old.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
                _migrate(old, to, keys)
            new.execute_command("CLUSTER SETSLOT", slot, "NODE", there)
            old.execute_command("CLUSTER SETSLOT", slot, "NODE", there)

    def flush(self) -> None:
        """Empties all primaries, so that no test lives on what another left."""
        for node in self.primaries():
            node.flush()

    def is_whole(self) -> bool:
        """Whether every node sees three primaries that have all slots."""
        return all(_sees_all(node, self._replicas) for node in self.nodes)

    def close(self) -> None:
        """Ends all nodes and removes their data."""
        for node in self.nodes:
            node.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _join(self) -> None:
        first, *others = self.nodes
        primaries, replicas = self.nodes[:PRIMARIES], self.nodes[PRIMARIES:]
        for number, node in enumerate(self.nodes):
            with _client(node) as client:
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for number, node in enumerate(primaries):
            with _client(node) as client:
                begin, end = (SLOTS * n // PRIMARIES for n in (number, number + 1))
                client.execute_command("CLUSTER ADDSLOTSRANGE", begin, end - 1)
        for node in others:
            with _client(node) as client:
                client.execute_command("CLUSTER MEET", "127.0.0.1", first.port, first.bus_port)
        poll(lambda: all(_knows(node, len(self.nodes)) for node in self.nodes), "the nodes know one another")
        for primary, replica in zip(primaries, replicas, strict=False):
            with _client(primary) as one, _client(replica) as other:
                other.execute_command("CLUSTER REPLICATE", one.execute_command("CLUSTER MYID"))
        copied = primaries[: self._replicas]
        poll(lambda: self.is_whole() and all(map(_is_copied, copied)), "the Cluster is whole")


def _migrate(old: redis.Redis, to: RedisServer, keys: Sequence[str]) -> None:
    if keys:
        old.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)


def role(node: RedisServer) -> str:
    """``master`` or ``slave``; empty of one that does not answer."""
    with _client(node) as client:
        try:
            return str(client.execute_command("ROLE")[0])
        except redis.RedisError:
            return ""


def _start(directory: Path, options: Mapping[str, str]) -> RedisServer:
    directory.mkdir()
    bus = free_port()
    joining = {
        "cluster-enabled": "yes",
        "cluster-port": str(bus),
        "cluster-node-timeout": str(_JOINING_MS),
        "cluster-require-full-coverage": "no",
        # Else a primary waits five seconds for further replicas before it begins to copy.
        "repl-diskless-sync-delay": "0",
    }
    node = RedisServer(directory, {**joining, **options})
    node.bus_port = bus
    return node


def _client(node: RedisServer) -> redis.Redis:
    return redis.Redis(port=node.port, decode_responses=True, socket_timeout=5)


def _lines(client: redis.Redis) -> list[list[str]]:
    """CLUSTER NODES as it is written: redis-py would make a dictionary of it."""
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command("CLUSTER", "NODES")
        return [line.split(" ") for line in str(connection.read_response()).splitlines()]
    finally:
        client.connection_pool.release(connection)


def _knows(node: RedisServer, others: int) -> bool:
    with _client(node) as client:
        lines = _lines(client)
        return len(lines) == others and not any("handshake" in line[2] for line in lines)


def _sees_all(node: RedisServer, replicas: int) -> bool:
    with _client(node) as client:
        lines = _lines(client)
        masters = [line for line in lines if "master" in line[2] and "fail" not in line[2]]
        covered = sum(_size(part) for line in masters for part in line[8:])
        followers = sum("slave" in line[2] and "fail" not in line[2] for line in lines)
        return covered == SLOTS and followers == replicas and "cluster_state:ok" in _info(client)


def _info(client: redis.Redis) -> str:
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command("CLUSTER", "INFO")
        return str(connection.read_response())
    finally:
        client.connection_pool.release(connection)


def _is_copied(primary: RedisServer) -> bool:
    with _client(primary) as client:
        copies = client.info("replication")
        return copies.get("connected_slaves", 0) >= 1 and copies["slave0"]["state"] == "online"


def _size(part: str) -> int:
    first, _, last = part.partition("-")
    return 0 if part.startswith("[") else int(last or first) - int(first) + 1


def _covers(part: str, slot: int) -> bool:
    first, _, last = part.partition("-")
    return not part.startswith("[") and int(first) <= slot <= int(last or first)
