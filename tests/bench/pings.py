"""Latency: one event every 50 ms, and the relay writes down when each final dot came."""

import time
from collections.abc import Callable

from notifier.domain import topology
from tests.acceptance.place import metric
from tests.acceptance.service import Process
from tests.bench import plain, workload
from tests.bench.figures import BATCH, Figure
from tests.bench.stage import Stage
from tests.bench.waiting import until
from tests.bench.workload import EMAIL, Kind

#: Pings that open connections before those that are measured.
WARM = 10
#: Seconds between two: long enough for an idle system to sleep.
EVERY_S = 0.05

Write = Callable[[int, str], Callable[[], None]]
"""Writes the ping of a number in a run; what it returns publishes it. Writing it is no part of its delivery."""


def of_events(stage: Stage, kind: Kind = EMAIL) -> Write:
    """Through intake."""

    def write(number: int, run: str) -> Callable[[], None]:
        body = workload.event(kind, number, run)
        return lambda: stage.publish(kind, [body])

    return write


def of_plain_tasks(stage: Stage) -> Write:
    """Straight to a plain Celery worker."""

    def write(number: int, run: str) -> Callable[[], None]:
        messages = list(plain.messages("plain.email", [workload.event(EMAIL, number, run)]))
        return lambda: stage.publisher.send(plain.QUEUE, messages)

    return write


def ping(stage: Stage, name: str, count: int, run: str, write: Write, every: float = EVERY_S) -> Figure:
    """From just before each publish to its final dot."""
    sent: dict[str, float] = {}
    for number in range(WARM + count):
        who, publish = workload.address(number, run), write(number, run)
        sent[who] = time.time()
        publish()
        time.sleep(every)
    came: dict[str, float] = {}

    def all_have_come() -> bool:
        came.update(stage.stamping.arrivals())
        return came.keys() >= sent.keys()

    until(all_have_come, f"all pings arrived ({name})", every=0.1)
    measured = list(sent.items())[WARM:]
    latencies = tuple(sorted((came[who] - when) * 1000 for who, when in measured))
    return Figure(name, count, latency_ms=latencies, sink=stage.stamping.name)


class Batches:
    """How many deliveries the tasks of a consumer carried since this was made."""

    def __init__(self, consumer: Process) -> None:
        self._consumer = consumer
        self._before = self._read()

    def seen(self) -> dict[str, float]:
        """The mean, by its name in the report."""
        deliveries, tasks = (now - before for now, before in zip(self._read(), self._before, strict=True))
        return {BATCH: deliveries / tasks} if tasks else {}

    def _read(self) -> tuple[float, float]:
        name = "notifier_batch_deliveries"
        return metric(self._consumer, f"{name}_sum"), metric(self._consumer, f"{name}_count")


def intake_is_empty(stage: Stage) -> bool:
    """Whether every event was planned and acknowledged."""
    return stage.depth(topology.INTAKE_QUEUE) == 0
