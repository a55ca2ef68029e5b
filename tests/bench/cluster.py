"""``python -m tests.bench.cluster [--deliveries N] [--clients 2] [--minutes 60] [--gib 6] [--json FILE]``.

Deliveries through a Redis Cluster of three primaries by the storage classes, as consumers and workers use them
(`through_redis`): what each costs in bytes, commands and CPU of the servers, and how evenly the nodes have it. Exit
code 1 when the fullest node has over 10 % more than the emptiest. Nothing is written to disk.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import redis

from tests.bench import gauges
from tests.bench.progress import say
from tests.bench.report import machine, markdown
from tests.bench.through_redis import TOGETHER, Client
from tests.servers.redis import RedisServer
from tests.servers.redis_cluster import RedisCluster

#: Deliveries that a client is given at a time.
_PART = 50 * TOGETHER
#: How much more than the emptiest node the fullest may have.
_EVEN = 1.10
#: Seconds between two looks at how far it is.
_TOLD_EACH_S = 30.0
#: People in the directory, at most; a tenth of the deliveries where that is fewer.
_PEOPLE = 200_000
_GIB = 2**30
_HEAD = ("node", "bytes a delivery", "keys a delivery", "commands a delivery", "CPU-µs a delivery", "MiB in all")


@dataclass(frozen=True)
class Used:
    """What a node holds and has done."""

    bytes: float
    keys: float
    commands: float
    """Those in scripts too."""
    cpu_us: float

    @classmethod
    def of(cls, node: RedisServer) -> "Used":
        """Now."""
        with redis.Redis(port=node.port) as client:
            keys, commands = client.dbsize(), client.info("stats")["total_commands_processed"]
        return cls(gauges.redis_bytes(node.port), keys, commands, gauges.cpu_seconds([node.pid]) * 1e6)

    def since(self, before: "Used", deliveries: int) -> "Used":
        """For each of so many deliveries."""
        return Used(*((now - was) / deliveries for now, was in zip(astuple(self), astuple(before), strict=True)))


def astuple(used: Used) -> Sequence[float]:
    """In the order of the fields."""
    return tuple(asdict(used).values())


def main() -> int:
    """The exit code."""
    options = _parse()
    with tempfile.TemporaryDirectory(prefix="notifier-cluster-") as folder:
        servers = RedisCluster(
            Path(folder) / "nodes", replicas=False, options={"appendonly": "no", "latency-tracking": "no"}
        )
        try:
            return _measured(servers, options)
        finally:
            servers.close()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cluster", description="What a Cluster divides.")
    parser.add_argument("--deliveries", type=int, default=50_000, help="how many (50,000)")
    parser.add_argument("--clients", type=int, default=2, help="processes at once (2)")
    parser.add_argument("--minutes", type=float, default=60, help="after so long no more are begun (60)")
    parser.add_argument("--gib", type=float, default=6, help="nor after so much memory of all nodes (6)")
    parser.add_argument("--json", metavar="FILE", help="write what was measured there")
    return parser.parse_args()


def _measured(servers: RedisCluster, options: argparse.Namespace) -> int:
    people = max(TOGETHER, min(_PEOPLE, options.deliveries // 10))
    client = Client(servers.url)
    client.prepare(people)
    # What each node holds before anything was delivered: dictionaries, and tables that grow by doubling.
    before, began = [Used.of(node) for node in servers.nodes], time.monotonic()
    done = _deliver(servers, options, people)
    took = time.monotonic() - began
    after = [Used.of(node) for node in servers.nodes]
    each = [now.since(was, done) for now, was in zip(after, before, strict=True)]
    even = {name: _ratio([getattr(one, name) for one in each]) for name in asdict(each[0])}
    say(f"{done:,} deliveries in {took:,.0f} s by {options.clients} clients: {done / took:,.0f}/s")
    _show(each, after, even)
    if options.json:
        found = {"deliveries": done, "seconds": took, "nodes": list(map(asdict, each)), "ratio": even}
        Path(options.json).write_text(json.dumps({"machine": machine(), **found}, indent=2) + "\n")
    return 0 if max(even.values()) <= _EVEN else 1


def _deliver(servers: RedisCluster, options: argparse.Namespace, people: int) -> int:
    """How many were delivered."""
    until, told, done = time.monotonic() + options.minutes * 60, time.monotonic(), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.clients, context, _open, (servers.url,)) as pool:
        waiting = _parts(options.deliveries)
        under_way = [pool.submit(_part, first, count, people) for first, count in islice(waiting, 2 * options.clients)]
        while under_way:
            done += under_way.pop(0).result()
            if time.monotonic() > told + _TOLD_EACH_S:
                told = time.monotonic()
                say(f"{done:,} of {options.deliveries:,}, {_gib(servers):.2f} GiB")
            if time.monotonic() < until and _gib(servers) < options.gib:
                under_way += [pool.submit(_part, first, count, people) for first, count in islice(waiting, 1)]
    return done


def _parts(deliveries: int) -> Iterator[tuple[int, int]]:
    """First number and count."""
    for first in range(0, deliveries, _PART):
        yield first, min(_PART, -(-(deliveries - first) // TOGETHER) * TOGETHER)


#: Of a client's process.
_clients: list[Client] = []


def _open(url: str) -> None:
    _clients.append(Client(url))


def _part(first: int, count: int, people: int) -> int:
    return _clients[0].deliver(first, count, people)


def _gib(servers: RedisCluster) -> float:
    return sum(gauges.rss_mib(node.pid) for node in servers.nodes) * 2**20 / _GIB


def _ratio(figures: Sequence[float]) -> float:
    return max(figures) / min(figures)


def _show(each: Sequence[Used], after: Sequence[Used], even: dict[str, float]) -> None:
    rows = [
        (f"{number + 1}", *_cells(one), f"{held.bytes / 2**20:,.1f}")
        for number, (one, held) in enumerate(zip(each, after, strict=True))
    ]
    whole = Used(*(sum(column) for column in zip(*map(astuple, each), strict=True)))
    rows.append(("all", *_cells(whole), f"{sum(one.bytes for one in after) / 2**20:,.1f}"))
    rows.append(("fullest ÷ emptiest", *(f"{ratio:.3f}" for ratio in even.values()), ""))
    print(markdown(_HEAD, rows), flush=True)


def _cells(one: Used) -> Sequence[str]:
    return (f"{one.bytes:,.1f}", f"{one.keys:.3f}", f"{one.commands:,.2f}", f"{one.cpu_us:,.1f}")


if __name__ == "__main__":
    sys.exit(main())
