"""``python -m tests.bench.waterfall``: where the milliseconds of one delivery in an idle system go, seen on the wire.

The loopback device is listened to while one event is published every 50 ms, and every packet with content is told apart
by whose connection it belongs to. So nothing of what is measured is changed, and what the broker, Redis and the relay
take stands apart from what our processes take, the time to wake them included. Needs root.

``--every 0.005`` publishes one every 5 ms instead: still one at a time, but nobody has slept long when it comes.
"""

import argparse
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.bench.pings import EVERY_S, of_events
from tests.bench.stage import Stage

#: Together fewer than the mails one connection to a relay carries: connections are told apart once, at the end.
PINGS, WARM = 70, 20
_EVERY_PROTOCOL, _OUTGOING, _NANOSECONDS, _TCP = 0x0003, 4, 35, 6

#: What happens between two packets, and whose packet ends it: (from, to) of the roles on either side.
STEPS = (
    ("broker: the event is on disk, and leaves for the consumer", ("broker", "consumer")),
    ("consumer: wakes up, reads, plans, asks", ("consumer", "redis")),
    ("Redis: what is known of it", ("redis", "consumer")),
    ("consumer: wakes up, makes the task", ("consumer", "broker")),
    ("broker: the task is on disk, and leaves for the worker", ("broker", "worker")),
    ("worker: wakes up, Celery, reads, asks", ("worker", "redis")),
    ("Redis: the claim", ("redis", "worker")),
    ("worker: wakes up, renders, composes, hands to the engine", ("worker", "relay")),
    ("relay: MAIL, RCPT and DATA", ("relay", "worker")),
    ("worker: wakes up, sends content and final dot", ("worker", "relay")),
)


@dataclass(frozen=True)
class Packet:
    """One with content."""

    at: float
    """Unix seconds."""
    source: int
    target: int


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.waterfall", description="An idle delivery, taken apart."
    )
    parser.add_argument(
        "--every", type=float, default=EVERY_S, metavar="SECONDS", help=f"between two (default {EVERY_S})"
    )
    every = parser.parse_args().every
    with tempfile.TemporaryDirectory(prefix="notifier-waterfall-") as directory:
        Path(directory).chmod(0o755)
        stage = Stage(Path(directory))
        try:
            consumer, worker = stage.consumer(50), stage.worker()
            ping_quietly(stage, WARM, "warm", every)
            roles = {stage.rabbit.port: "broker", stage.redis.port: "redis", stage.mails.port: "relay"}
            with Listener() as listener:
                published = ping_quietly(stage, PINGS, "measured", every)
                stage.until_empty()
                for role, process in (("consumer", consumer), ("worker", worker)):
                    roles |= dict.fromkeys(ports_of(process.popen.pid), role)
            print_table(waterfalls(listener.packets, roles, published))
        finally:
            stage.close()


def ping_quietly(stage: Stage, count: int, run: str, every: float) -> list[float]:
    """When each event was published."""
    published = []
    for number in range(count):
        publish = of_events(stage)(number, run)
        published.append(time.time())
        publish()
        time.sleep(every)
    return published


def waterfalls(packets: Iterable[Packet], roles: dict[int, str], published: list[float]) -> list[list[float]]:
    """Milliseconds of every step, for each event whose packets were all seen."""
    found = []
    ends = [*published[1:], float("inf")]
    flow = [(p.at, roles.get(p.source, "?"), roles.get(p.target, "?")) for p in packets]
    for began, ended in zip(published, ends, strict=True):
        mine = iter([entry for entry in flow if began <= entry[0] < ended])
        times = [began]
        for _, (source, target) in STEPS:
            if (at := next((at for at, *ways in mine if ways == [source, target]), None)) is None:
                break
            times.append(at)
        if len(times) > len(STEPS):
            found.append([(after - before) * 1000 for before, after in pairwise(times)])
    return found


def print_table(found: list[list[float]]) -> None:
    """Medians of the steps, and of the whole."""
    if not found:
        sys.exit("no event was seen on all of its way: is this the only thing that uses the loopback device?")
    print(f"| step | ms, median of {len(found)} | nine of ten within |\n| --- | --- | --- |")
    for place, (name, _) in enumerate(STEPS):
        print_row(name, [one[place] for one in found])
    print_row("**publish → final dot**", [sum(one) for one in found])
    ours = [place for place, (name, _) in enumerate(STEPS) if name.startswith(("consumer", "worker"))]
    print_row("of which our two processes, waking them included", [sum(one[p] for p in ours) for one in found])


def print_row(name: str, taken: list[float]) -> None:
    """One step."""
    taken = sorted(taken)
    print(f"| {name} | {statistics.median(taken):.2f} | {taken[len(taken) * 9 // 10]:.2f} |")


class Listener:
    """Collects packets from the loopback device while it is entered."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_EVERY_PROTOCOL))
        self._socket.bind(("lo", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, _NANOSECONDS, 1)
        self._socket.settimeout(0.2)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                data, notes, _, address = self._socket.recvmsg(96, 64)
            except TimeoutError:
                continue
            if address[2] == _OUTGOING and (packet := read_packet(data, notes)) is not None:
                self.packets.append(packet)


def read_packet(data: bytes, notes: list[tuple[int, int, bytes]]) -> Packet | None:
    """An IPv4 packet's head (RFC 791, RFC 9293); None for one that carries nothing."""
    if len(data) < 40 or data[0] >> 4 != 4 or data[9] != _TCP:
        return None
    head = (data[0] & 15) * 4
    source, target = struct.unpack_from("!HH", data, head)
    content = struct.unpack_from("!H", data, 2)[0] - head - (data[head + 12] >> 4) * 4
    if content <= 0:
        return None
    seconds, nanoseconds = next(struct.unpack("@ll", note) for _, kind, note in notes if kind == _NANOSECONDS)
    return Packet(seconds + nanoseconds / 1e9, source, target)


def ports_of(pid: int) -> list[int]:
    """Local ports of a process's TCP connections."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(str(entry.readlink()))
        except FileNotFoundError:
            continue  # closed while we looked
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return [int(words[1].partition(":")[2], 16) for words in map(str.split, lines) if f"socket:[{words[9]}]" in sockets]


if __name__ == "__main__":
    main()
