"""What is measured. Every scenario: processes are ready and frozen, the work is put before them, then the clock starts.

So no figure contains a process's start, and every process of a scenario starts at the same moment. Rates go from the
thaw to the last event or delivery; CPU is read when every queue is empty, so recording and acknowledging count.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from notifier.domain import topology
from tests.acceptance.service import Process
from tests.bench import fan_out, flood, gauges, in_flight, plain, workload
from tests.bench.figures import BATCH, REDIS_BYTES, REDIS_TRIPS, Figure, Sizes
from tests.bench.pings import Batches, of_events, of_plain_tasks, ping
from tests.bench.sinks import Sink
from tests.bench.stage import Stage, Usage
from tests.bench.waiting import BenchFailed, until
from tests.bench.workload import CHECKED_EMAIL, EMAIL, WEBHOOK, Kind

_runs = itertools.count(1)

#: Entered with a scenario's name and the process it measures while that runs; the profiler looks in here.
Watch = Callable[[str, Process], AbstractContextManager[None]]


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
        self._redis_empty = 0

    def figures(self) -> Iterator[Figure]:
        """In the order that starts the fewest processes."""
        yield from self._latency()
        yield from self._one_worker()
        yield from self._plain()
        yield from self._extremes()

    def _any(self, *names: str) -> bool:
        return any(self._wanted(name) for name in names)

    def _latency(self) -> Iterator[Figure]:
        name = "latency, idle"
        if not self._wanted(name):
            return
        self._progress(name)
        roles = [self._stage.consumer(50), self._stage.worker(stamping=True)]
        batches = Batches(roles[0])
        figure = ping(self._stage, name, self._sizes.pings, self._prepare(EMAIL), of_events(self._stage))
        figure.values.update(batches.seen())
        yield figure
        self._stage.until_empty()
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
            trips = gauges.redis_trips(self._stage.redis.port)
            already, began = sink.count(), time.monotonic()
        with self._watch(delivery, workers[0]):
            figure = self._delivered(delivery, kind, count, workers, before, began, already)
        figure.values[REDIS_TRIPS] = (gauges.redis_trips(self._stage.redis.port) - trips) / count
        figure.values[REDIS_BYTES] = (gauges.redis_bytes(self._stage.redis.port) - self._redis_empty) / count
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
            values={BATCH: count / max(self._stage.waiting(kind), 1)},
        )

    def _whole_way(self, name: str, count: int, consumer: Process, workers: Sequence[Process]) -> Figure:
        """Events wait, and consumer and workers start on them together."""
        self._progress(name)
        run = self._prepare(EMAIL)
        batches = Batches(consumer)
        with gauges.frozen([consumer.popen.pid, *(worker.popen.pid for worker in workers)]):
            self._stage.publish_events(EMAIL, count, run)
            before, already = self._stage.usage(workers=[consumer, *workers]), self._stage.mails.count()
            began = time.monotonic()
        figure = self._delivered(name, EMAIL, count, [consumer, *workers], before, began, already)
        figure.values.update(batches.seen())
        self._check(EMAIL, count, run)
        return figure

    def _delivered(
        self, name: str, kind: Kind, count: int, workers: Sequence[Process], before: Usage, began: float, already: int
    ) -> Figure:
        sink = self._sink(kind)
        ended = until(lambda: sink.count() - already >= count, f"{count} deliveries arrived ({name})")
        self._stage.until_empty()
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
        self._redis_empty = gauges.redis_bytes(self._stage.redis.port)
        return f"run{next(_runs)}"

    def _sink(self, kind: Kind) -> Sink:
        return self._stage.hooks if kind is WEBHOOK else self._stage.mails

    def _extremes(self) -> Iterator[Figure]:
        sizes = self._sizes
        if self._any(flood.DEDICATED, flood.SHARED):
            self._progress(f"{flood.DEDICATED} → {flood.SHARED}")
            yield from flood.figures(self._stage, sizes.flood, sizes.pings, self._wanted)
        if self._any(in_flight.MAILS, in_flight.HOOKS):
            self._progress(f"{in_flight.MAILS} → {in_flight.HOOKS}")
            yield from in_flight.figures(self._stage, sizes.in_flight, self._wanted)
        if self._wanted(fan_out.NAME):
            self._progress(fan_out.NAME)
            yield fan_out.figure(self._stage, sizes.people)

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
            yield ping(self._stage, name, self._sizes.pings, self._prepare(EMAIL), of_plain_tasks(self._stage))
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
