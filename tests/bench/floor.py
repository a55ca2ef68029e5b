"""``python -m tests.bench.floor``: how fast one idle delivery could be on this machine if our own code took no time.

Beside the service and a plain Celery worker, two small processes (`floor_hops`) carry the same event over the same
hops and do nothing with it: a durable queue, one question to Redis, a second durable queue, one question to Redis, and
a mail on a connection that is open. What they take no service in Python gets below on this machine, if it has two
durable hops, a check before it plans and a claim before it sends, one after the other: the broker writes to its disk,
and sleeping processes must be woken, whoever wrote the service. They publish without confirms, parse nothing and use no
client library once they are connected, which only makes it less.

All three are started once; while one is measured the others are frozen. Rounds are interleaved, so that a busy minute
of the machine spoils one round of each and not all rounds of one.
"""

import argparse
import itertools
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pika

from tests.bench import floor_hops, gauges, workload
from tests.bench.bars import percentile
from tests.bench.pings import EVERY_S, WARM, Write, of_events, of_plain_tasks, ping
from tests.bench.progress import say
from tests.bench.stage import Stage
from tests.bench.waiting import BenchFailed
from tests.bench.workload import EMAIL
from tests.servers.processes import start, stop_group, wait_until

ROUNDS, PINGS = 5, 60
#: Seconds a round of one may take: it is frozen for two of them, and the broker hangs up on who is silent for a minute.
_LONGEST_S = 25.0
_FLOOR = "the same hops with nothing in them"


@dataclass
class Way:
    """One of the three, and what its rounds have found."""

    name: str
    pids: list[int]
    write: Write
    rounds: list[tuple[float, ...]] = field(default_factory=list)
    """Sorted milliseconds of each round's pings."""
    cpu_ms: list[float] = field(default_factory=list)
    """Of each round, for an event: all that its processes did meanwhile."""

    def percentiles(self, percent: float) -> list[float]:
        """Of each round."""
        return [percentile(latencies, percent) for latencies in self.rounds]


def main() -> int:
    """Print a table; the exit code."""
    options = _parse()
    with tempfile.TemporaryDirectory(prefix="notifier-floor-") as directory:
        say("starting RabbitMQ, Redis, the relay and whom they are measured with")
        stage = Stage(Path(directory))
        try:
            with _started(stage) as ways:
                _measure(stage, ways, options)
            print(_table(ways, options))
        except BenchFailed as error:
            say(f"failed: {error}")
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            if complaints := stage.complaints():
                say(f"the service logged {len(complaints)} warnings or errors; the first: {complaints[0]:.1000}")
            stage.close()
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.floor",
        description="An idle delivery, beside the same hops with nothing in them and a plain Celery worker. Takes a "
        "minute, and wants the machine for itself.",
        epilog=f"A round, warming up included, may take {_LONGEST_S:.0f} seconds: the others are frozen meanwhile.",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"of each of the three ({ROUNDS})")
    parser.add_argument(
        "--pings",
        type=int,
        default=PINGS,
        metavar="N",
        help=f"measured in a round, after {WARM} to warm up ({PINGS})",
    )
    parser.add_argument(
        "--every", type=float, default=EVERY_S, metavar="SECONDS", help=f"from one ping to the next ({EVERY_S})"
    )
    options = parser.parse_args()
    if min(options.rounds, options.pings) < 1 or options.every <= 0:
        parser.error("nothing to measure")
    if (WARM + options.pings) * options.every > _LONGEST_S:
        parser.error(f"a round would take longer than {_LONGEST_S:.0f} s, and the broker gives up whoever is frozen")
    return options


@contextmanager
def _started(stage: Stage) -> Iterator[list[Way]]:
    """All three, ready."""
    with _hops(stage) as pids:
        service = [stage.consumer(50).popen.pid, stage.worker(stamping=True).popen.pid]
        celery = [stage.plain_worker(stamping=True).popen.pid]
        yield [
            Way(_FLOOR, pids, _to_hops(stage)),
            Way("the service", service, of_events(stage)),
            Way("plain Celery", celery, of_plain_tasks(stage)),
        ]


@contextmanager
def _hops(stage: Stage) -> Iterator[list[int]]:
    with ExitStack() as ending:
        pids = []
        for role, queue in (("plan", floor_hops.EVENTS_QUEUE), ("send", floor_hops.TASKS_QUEUE)):
            log = stage.folder(f"floor-{role}") / "log"
            process = _hop(stage, role, queue, log)
            ending.callback(_end, process, log)
            pids.append(process.pid)
        yield pids


def _hop(stage: Stage, role: str, queue: str, log: Path) -> subprocess.Popen[bytes]:
    """One of the two processes, consuming from its queue."""
    stage.publisher.declare(queue)
    where = [stage.broker_url, str(stage.redis.port), str(stage.stamping.port)]
    process = start([sys.executable, "-m", floor_hops.__name__, role, *where], log)
    wait_until(lambda: stage.publisher.consumers(queue) > 0, process, log)
    return process


def _end(process: subprocess.Popen[bytes], log: Path) -> None:
    """By its id; it writes nothing unless it failed."""
    stop_group(process, signal.SIGTERM)
    if words := log.read_text(errors="replace").strip():
        say(words)


def _to_hops(stage: Stage) -> Write:
    properties = pika.BasicProperties(delivery_mode=2)

    def write(number: int, run: str) -> Callable[[], None]:
        message = (workload.event(EMAIL, number, run), properties)
        return lambda: stage.publisher.send(floor_hops.EVENTS_QUEUE, [message])

    return write


def _measure(stage: Stage, ways: list[Way], options: argparse.Namespace) -> None:
    for number, way in itertools.product(range(1, options.rounds + 1), ways):
        others = [pid for other in ways if other is not way for pid in other.pids]
        with gauges.frozen(others):
            before, used = stage.stamping.count(), gauges.cpu_seconds(way.pids)
            figure = ping(stage, way.name, options.pings, f"round{number}.{way.pids[0]}", way.write, options.every)
            stage.until_empty()
            if (arrived := stage.stamping.count() - before) != WARM + options.pings:
                raise BenchFailed(f"{way.name}: {arrived} mails arrived where {WARM + options.pings} were sent")
            way.cpu_ms.append((gauges.cpu_seconds(way.pids) - used) / (WARM + options.pings) * 1000)
        way.rounds.append(figure.latency_ms)
        say(f"round {number} of {options.rounds}: {way.name}: p50 {percentile(figure.latency_ms, 50):.2f} ms")


def _table(ways: list[Way], options: argparse.Namespace) -> str:
    floor = median(ways[0].percentiles(50))
    head = (
        f"| publish → final dot, medians of {options.rounds} rounds of {options.pings}, one every "
        f"{options.every * 1000:g} ms | p50 ms | p50 of the rounds | p90 ms | p50, times the first "
        "| CPU-ms of its processes, an event |"
    )
    rows = []
    for way in ways:
        halves, tenths = way.percentiles(50), way.percentiles(90)
        cells = [f"{median(halves):.2f}", f"{min(halves):.2f}–{max(halves):.2f}", f"{median(tenths):.2f}"]
        rows.append(
            " | ".join([f"| {way.name}", *cells, f"{median(halves) / floor:.2f}", f"{median(way.cpu_ms):.2f} |"])
        )
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- |", *rows])


if __name__ == "__main__":
    sys.exit(main())
