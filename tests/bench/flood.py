"""Latency while very many low deliveries wait, with a worker for high alone and with one worker for everything."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from notifier.domain.rule import WORK_QUEUES
from tests.acceptance.service import Process
from tests.bench import workload
from tests.bench.figures import WAITING, Figure
from tests.bench.pings import Batches, intake_is_empty, of_events, ping
from tests.bench.progress import shown
from tests.bench.stage import Stage
from tests.bench.waiting import until
from tests.bench.workload import HIGH, LOW, Kind

#: Events published before the next look at how far intake is.
_SLICE = 5000
#: Seconds for filling a work queue; intake plans some thousands a second.
_FILL_S = 600.0

DEDICATED, SHARED = "high under flood, own worker", "high under flood, shared worker"


def fill(stage: Stage, count: int, run: str, *, kind: Kind = LOW, tenant: str = "") -> None:
    """So many deliveries in their work queues, through a consumer that runs; no worker does."""
    with shown(f"{kind.priority} deliveries planned", count) as advance:
        for first in range(0, count, _SLICE):
            numbers = range(first, min(first + _SLICE, count))
            stage.publish(kind, (workload.event(kind, number, run, tenant) for number in numbers))
            advance(first)
    until(lambda: intake_is_empty(stage), f"{count:,} deliveries are planned", every=0.2, timeout=_FILL_S)


def figures(stage: Stage, flood: int, pings: int, wanted: Callable[[str], bool]) -> Iterator[Figure]:
    """Both figures from one flood; what is left of it is thrown away."""
    consumer = stage.consumer(50)
    try:
        stage.redis.flush()
        fill(stage, flood, "flood")
        if wanted(DEDICATED):
            with _running(stage, _own_worker(stage), _worker_for_the_rest(stage)):
                yield _figure(stage, DEDICATED, pings, consumer)
        if wanted(SHARED):
            with _running(stage, stage.worker(stamping=True)):
                yield _figure(stage, SHARED, pings, consumer)
    finally:
        stage.end(consumer)
        stage.purge()


def _figure(stage: Stage, name: str, pings: int, consumer: Process) -> Figure:
    batches = Batches(consumer)
    figure = ping(stage, name, pings, "own" if name == DEDICATED else "shared", of_events(stage, HIGH))
    figure.values.update({WAITING: stage.waiting(LOW) * 50.0, **batches.seen()})
    return figure


def _own_worker(stage: Stage) -> Process:
    queues = [queue for queue in WORK_QUEUES if queue.startswith(HIGH.lane)]
    return stage.service(stage.stamping).worker("-n", "high@%h", "-l", "warning", "-Q", ",".join(queues))


def _worker_for_the_rest(stage: Stage) -> Process:
    queues = [queue for queue in WORK_QUEUES if not queue.startswith(HIGH.lane)]
    return stage.service(stage.mails).worker("-n", "rest@%h", "-l", "warning", "-Q", ",".join(queues))


@contextmanager
def _running(stage: Stage, *workers: Process) -> Iterator[None]:
    try:
        yield
    finally:
        for worker in workers:
            stage.end(worker)
