"""A worker's memory while very many deliveries wait for an answer at once."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.place import metric
from tests.acceptance.service import Process
from tests.bench import gauges, workload
from tests.bench.figures import IN_FLIGHT, PEAK, Figure
from tests.bench.pings import intake_is_empty
from tests.bench.relay import Behaviour, Relay
from tests.bench.stage import Stage
from tests.bench.waiting import until
from tests.bench.workload import EMAIL, Kind
from tests.servers.processes import start, stop_group, wait_until

MAILS, HOOKS = "worker, mails on 500 slow connections", "worker, 2,000 webhooks in flight"
#: The most a worker may be told to open to one relay.
_CONNECTIONS = "500"
#: Seconds a receiver takes for each: long enough that all are in flight before the first is answered.
_ANSWER_S = 4.0
_ENDPOINTS = 200
_ADDRESSES = [f"127.0.2.{number}" for number in range(1, _ENDPOINTS + 1)]


@dataclass(frozen=True)
class SlowReceiver:
    """`slow_receiver` in a process, on many loopback addresses."""

    log: Path
    port: int

    def most_at_once(self) -> int:
        """Most requests that waited for an answer."""
        return int(self.log.read_text().split()[-1])


def figures(stage: Stage, count: int, wanted: Callable[[str], bool]) -> Iterator[Figure]:
    """Twice as many deliveries as shall be in flight, planned before the worker starts."""
    if wanted(MAILS):
        yield _mails(stage, count)
    if wanted(HOOKS):
        yield _hooks(stage, count)


def _mails(stage: Stage, count: int) -> Figure:
    relay = Relay(stage.folder("slow-relay"))
    relay.behave(Behaviour(delay=_ANSWER_S))
    try:
        stage.redis.flush()
        _plan(stage, [EMAIL], 2 * count, "slowmail")
        service = stage.service(
            relay, NOTIFIER_SMTP_CONNECTIONS=_CONNECTIONS, NOTIFIER_WORKER_CONCURRENCY=_greenlets(count)
        )
        worker = service.worker("-n", "slow@%h", "-l", "warning")
        most = _watch(worker, "email", lambda: relay.count() >= 2 * count)
        peak = gauges.peak_rss_mib(worker.popen.pid)
        stage.until_empty()
        stage.end(worker)
        stage.check_sent(workload.deliveries(EMAIL, 2 * count, "slowmail", ""))
    finally:
        relay.close()
    return Figure(
        MAILS, 2 * count, values={PEAK: peak, IN_FLIGHT: most, "on connections at once": relay.most_at_once()}
    )


def _hooks(stage: Stage, count: int) -> Figure:
    with _slow_receiver(stage.folder("slow-receiver")) as receiver:
        stage.redis.flush()
        kinds = [workload.receiver(number) for number in range(_ENDPOINTS)]
        stage.new_endpoints(
            (f"http://{address}:{receiver.port}/slow", kind.event_type)
            for address, kind in zip(_ADDRESSES, kinds, strict=True)
        )
        service = stage.service(
            stage.mails, NOTIFIER_WEBHOOK_CONNECTIONS=str(count), NOTIFIER_WORKER_CONCURRENCY=_greenlets(count)
        )
        worker = service.worker("-n", "slow@%h", "-l", "warning")
        # Whoever has not answered yet gets two exchanges, and two hundred of these make no two thousand.
        _plan(stage, kinds, _ENDPOINTS, "first")
        until(stage.empty, "each receiver has answered once", every=0.1, timeout=180)
        with gauges.frozen([worker.popen.pid]):
            _plan(stage, kinds, 2 * count, "slowhook")
        most = _watch(worker, "webhook", stage.empty)
        peak = gauges.peak_rss_mib(worker.popen.pid)
        stage.end(worker)
        at_once = receiver.most_at_once()
    return Figure(HOOKS, 2 * count, values=_values(peak, most, at_once))


def _values(peak: float, most: float, on_wire: int) -> dict[str, float]:
    return {PEAK: peak, IN_FLIGHT: most, "most at the receiver at once": on_wire}


def _plan(stage: Stage, kinds: list[Kind], count: int, run: str) -> None:
    consumer = stage.consumer(50)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        stage.publish(kind, [workload.event(kind, number, run)])
    until(lambda: intake_is_empty(stage), f"{count} deliveries are planned")
    stage.end(consumer)


def _greenlets(count: int) -> str:
    """Batches of 50 at once."""
    return str(count // 50)


def _watch(worker: Process, channel: str, done: Callable[[], bool]) -> float:
    """The most deliveries the worker says it is sending, until all are sent."""
    most = [0.0]

    def looked() -> bool:
        most[0] = max(most[0], metric(worker, "notifier_in_flight"))
        return done()

    until(looked, f"the slow {channel} receiver got all", every=0.1, timeout=180)
    return most[0]


@contextmanager
def _slow_receiver(directory: Path) -> Iterator[SlowReceiver]:
    log = directory / "slow-receiver.log"
    process = start([sys.executable, "-m", "tests.bench.slow_receiver", str(_ANSWER_S), *_ADDRESSES], log)
    try:
        wait_until(lambda: re.match(rb"port \d+\n", log.read_bytes()) is not None, process, log)
        yield SlowReceiver(log, int(log.read_text().split()[1]))
    finally:
        stop_group(process, signal.SIGKILL)
