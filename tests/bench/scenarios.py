"""What is measured. Every scenario: processes are ready and frozen, the work is put before them, then the clock starts.

So no figure contains a process's start, and every process of a scenario starts at the same moment. Rates go from the
thaw to the last event or delivery; CPU is read when every queue is empty, so recording and acknowledging count.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import pika

from notifier.domain import topology
from notifier.domain.cloudevents import STRUCTURED
from tests.acceptance.service import Process
from tests.bench import gauges, plain, workload
from tests.bench.relay import Relay
from tests.bench.sinks import Sink
from tests.bench.stage import BenchFailed, Stage, Usage, until
from tests.bench.workload import CHECKED_EMAIL, EMAIL, WEBHOOK, Kind

_runs = itertools.count(1)

#: Entered with a scenario's name and the process it measures while that runs; the profiler looks in here.
Watch = Callable[[str, Process], AbstractContextManager[None]]


@dataclass(frozen=True)
class Figure:
    """One scenario, measured once."""

    name: str
    count: int
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by role; the first is the one measured, the others are beside it."""
    peak_rss: dict[str, float] = field(default_factory=dict)
    """MiB by role."""
    batches: int = 0
    latency_ms: tuple[float, ...] = ()
    """Sorted; only of latency scenarios."""
    sink: str = ""

    @property
    def rate(self) -> float:
        """Events or deliveries a second."""
        return self.count / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Sizes:
    """How much is sent: enough for a few seconds each on a laptop's core."""

    full: int = 6000
    """Events of scenarios with batches of 50."""
    ten: int = 4000
    one: int = 1500
    plain_mails: int = 500
    plain_hooks: int = 1000
    pings: int = 120

    @classmethod
    def quick(cls) -> "Sizes":
        """For a look, in under a minute."""
        return cls(full=2500, ten=1000, one=500, plain_mails=200, plain_hooks=300, pings=40)

    def of(self, batch: int) -> int:
        """Events of a scenario with batches of this size."""
        return {50: self.full, 10: self.ten, 1: self.one}[batch]


class Round:
    """One run through all scenarios; yields each figure as it is known."""

    def __init__(
        self,
        stage: Stage,
        sizes: Sizes,
        wanted: Callable[[str], bool],
        progress: Callable[[str], None],
        watch: Watch = lambda _, __: nullcontext(),
    ) -> None:
        self._stage = stage
        self._sizes = sizes
        self._wanted = wanted
        self._progress = progress
        self._watch = watch
        self._endpoint = ""

    def figures(self) -> Iterator[Figure]:
        """In the order that starts the fewest processes."""
        yield from self._latency()
        yield from self._one_worker()
        yield from self._plain()

    def _any(self, *names: str) -> bool:
        return any(self._wanted(name) for name in names)

    def _latency(self) -> Iterator[Figure]:
        name = "latency, idle"
        if not self._wanted(name):
            return
        self._progress(name)
        roles = [self._stage.consumer(50), self._stage.worker(stamping=True)]
        yield self._ping(name, self._ping_event)
        for process in roles:
            self._stage.end(process)

    def _one_worker(self) -> Iterator[Figure]:
        workers = [self._stage.worker(1)]
        for batch in (50, 10, 1):
            names = [f"email, batches of {batch}", f"webhook, batches of {batch}", f"intake, batches of {batch}"]
            if not self._any(*names, *(("intake, schema", "whole way, 1 worker") if batch == 50 else ())):
                continue
            consumer = self._stage.consumer(batch)
            count = self._sizes.of(batch)
            if self._any(names[0], names[2]):
                yield from self._both(EMAIL, count, consumer, workers, names[2], names[0])
            if self._wanted(names[1]):
                yield from self._both(WEBHOOK, count, consumer, workers, "", names[1])
            if batch == 50:
                yield from self._batches_of_50(consumer, workers)
            self._stage.end(consumer)
        for worker in workers:
            self._stage.end(worker)

    def _batches_of_50(self, consumer: Process, workers: list[Process]) -> Iterator[Figure]:
        count = self._sizes.full
        if self._wanted("intake, schema"):
            yield from self._both(CHECKED_EMAIL, count, consumer, workers, "intake, schema", "")
        if self._wanted("whole way, 1 worker"):
            yield self._whole_way("whole way, 1 worker", count, consumer, workers)
        names = ("email, 2 workers", "webhook, 2 workers", "whole way, 2 workers")
        if not self._any(*names):
            return
        workers.append(self._stage.worker(2))
        for name, kind in zip(names, (EMAIL, WEBHOOK), strict=False):
            if self._wanted(name):
                yield from self._both(kind, count, consumer, workers, "", name)
        if self._wanted(names[2]):
            yield self._whole_way(names[2], count, consumer, workers)
        self._stage.end(workers.pop())

    def _both(
        self, kind: Kind, count: int, consumer: Process, workers: Sequence[Process], intake: str, delivery: str
    ) -> Iterator[Figure]:
        """Intake with the workers frozen, then the deliveries it has planned."""
        self._progress(" → ".join(filter(None, (intake, delivery))))
        run = self._prepare(kind)
        with gauges.frozen(worker.popen.pid for worker in workers):
            with gauges.frozen([consumer.popen.pid]):
                self._stage.publish_events(kind, count, run)
                before = self._stage.usage(consumer=[consumer])
                began = time.monotonic()
            with self._watch(intake, consumer):
                figure = self._intake(intake, kind, count, consumer, before, began)
            if intake and self._wanted(intake):
                yield figure
            before, sink = self._stage.usage(workers=list(workers)), self._sink(kind)
            already, began = sink.count(), time.monotonic()
        with self._watch(delivery, workers[0]):
            figure = self._delivered(delivery, kind, count, workers, before, began, already)
        self._check(kind, count, run)
        if delivery and self._wanted(delivery):
            yield figure

    def _intake(self, name: str, kind: Kind, count: int, consumer: Process, before: Usage, began: float) -> Figure:
        until(lambda: self._stage.publisher.ready(topology.INTAKE_QUEUE) == 0, "the intake queue was read")
        ended = until(lambda: self._stage.depth(topology.INTAKE_QUEUE) == 0, "every event was acknowledged")
        return Figure(
            name,
            count,
            ended - began,
            self._stage.usage(consumer=[consumer]).since(before),
            {"consumer": gauges.peak_rss_mib(consumer.popen.pid)},
            batches=self._stage.depth(kind.queue),
        )

    def _whole_way(self, name: str, count: int, consumer: Process, workers: Sequence[Process]) -> Figure:
        """Events wait, and consumer and workers start on them together."""
        self._progress(name)
        run = self._prepare(EMAIL)
        with gauges.frozen([consumer.popen.pid, *(worker.popen.pid for worker in workers)]):
            self._stage.publish_events(EMAIL, count, run)
            before, already = self._stage.usage(workers=[consumer, *workers]), self._stage.mails.count()
            began = time.monotonic()
        figure = self._delivered(name, EMAIL, count, [consumer, *workers], before, began, already)
        self._check(EMAIL, count, run)
        return figure

    def _delivered(
        self, name: str, kind: Kind, count: int, workers: Sequence[Process], before: Usage, began: float, already: int
    ) -> Figure:
        sink = self._sink(kind)
        ended = until(lambda: sink.count() - already >= count, f"{count} deliveries arrived ({name})")
        until(self._stage.empty, "all queues empty")
        if (arrived := sink.count() - already) != count:
            raise BenchFailed(f"{name}: {arrived} arrived where {count} were sent")
        return Figure(
            name,
            count,
            ended - began,
            self._stage.usage(workers=list(workers)).since(before),
            {"worker": max(gauges.peak_rss_mib(worker.popen.pid) for worker in workers)},
            sink=sink.name,
        )

    def _check(self, kind: Kind, count: int, run: str) -> None:
        self._stage.check_sent(workload.deliveries(kind, count, run, self._endpoint))

    def _prepare(self, kind: Kind) -> str:
        """An empty Redis, the endpoint in it when one is needed, and a name that makes this scenario's events new."""
        self._stage.redis.flush()
        if kind is WEBHOOK:
            self._endpoint = self._stage.new_endpoint()
        return f"run{next(_runs)}"

    def _sink(self, kind: Kind) -> Sink:
        return self._stage.hooks if kind is WEBHOOK else self._stage.mails

    def _plain(self) -> Iterator[Figure]:
        names = ("plain Celery, email", "plain Celery, webhook")
        if self._any(*names):
            worker = self._stage.plain_worker()
            sizes, kinds = (self._sizes.plain_mails, self._sizes.plain_hooks), (EMAIL, WEBHOOK)
            for name, count, kind in zip(names, sizes, kinds, strict=True):
                if self._wanted(name):
                    yield self._plain_delivery(name, count, kind, worker)
            self._stage.end(worker)
        name = "plain Celery, latency"
        if self._wanted(name):
            self._progress(name)
            worker = self._stage.plain_worker(stamping=True)
            yield self._ping(name, self._ping_plain)
            self._stage.end(worker)

    def _plain_delivery(self, name: str, count: int, kind: Kind, worker: Process) -> Figure:
        self._progress(name)
        run = self._prepare(kind)
        events = [workload.event(kind, number, run) for number in range(count)]
        with gauges.frozen([worker.popen.pid]):
            self._stage.publisher.send(plain.QUEUE, plain.messages(f"plain.{kind.channel}", events))
            until(lambda: self._stage.depth(plain.QUEUE) >= count, "all plain tasks wait")
            before, already = self._stage.usage(workers=[worker]), self._sink(kind).count()
            began = time.monotonic()
        return self._delivered(name, kind, count, [worker], before, began, already)

    def _ping(self, name: str, send: Callable[[int, str], None]) -> Figure:
        """One at a time, 50 ms apart; the sink writes down when each final dot came. The first ten open connections."""
        warm, count, sink = 10, self._sizes.pings, self._stage.stamping
        run, already = self._prepare(EMAIL), sink.count()
        sent: dict[str, float] = {}
        for number in range(warm + count):
            sent[workload.address(number, run)] = time.time()
            send(number, run)
            time.sleep(0.05)
        until(lambda: sink.count() - already >= len(sent), "every ping arrived")
        until(self._stage.empty, "all queues empty")
        return Figure(name, count, latency_ms=_latencies(sink, sent, warm), sink=sink.name)

    def _ping_event(self, number: int, run: str) -> None:
        properties = pika.BasicProperties(content_type=STRUCTURED, delivery_mode=2)
        body = workload.event(EMAIL, number, run)
        self._stage.publisher.publish(topology.EVENTS_EXCHANGE, EMAIL.event_type, [body], properties)

    def _ping_plain(self, number: int, run: str) -> None:
        body = workload.event(EMAIL, number, run)
        self._stage.publisher.send(plain.QUEUE, plain.messages("plain.email", [body]))


def _latencies(sink: Relay, sent: dict[str, float], warm: int) -> tuple[float, ...]:
    came = sink.arrivals()
    return tuple(sorted((came[who] - when) * 1000 for who, when in list(sent.items())[warm:]))
