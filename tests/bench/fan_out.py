"""One event for very many people: when the first of them has their mail, and what the consumer's memory does."""

import time

from tests.bench import gauges, workload
from tests.bench.figures import FIRST, GROWTH, PEAK, Figure
from tests.bench.progress import until_count
from tests.bench.stage import Stage
from tests.bench.waiting import BenchFailed, until
from tests.bench.workload import EMAIL, NEWS

NAME = "fan-out"
#: Bytes of an event that names 100,000 addresses, with room; the default of 256 KiB is for everyday events.
_LARGEST = str(8 * 1024 * 1024)
_PATIENCE_S = 600.0


def figure(stage: Stage, people: int, *, patience: float = _PATIENCE_S) -> Figure:
    """A fresh consumer and worker, each warmed by one mail."""
    stage.redis.flush()
    consumer = stage.service(stage.mails, NOTIFIER_EVENT_MAX_BYTES=_LARGEST).consumer()
    worker = stage.service(stage.mails, NOTIFIER_EVENT_MAX_BYTES=_LARGEST).worker("-n", "fan@%h", "-l", "warning")
    _one(stage)
    before, already = gauges.rss_mib(consumer.popen.pid), stage.mails.count()
    run = f"news{already}"
    with gauges.frozen([consumer.popen.pid]):
        stage.publish(NEWS, [workload.news(run, people)])
        until(lambda: stage.depth("notifier.intake") == 1, "the event waits")
        began = time.monotonic()
    first = until(lambda: stage.mails.count() > already, "the first mail arrived", every=0.001, timeout=patience)
    ended = until_count(lambda: stage.mails.count() - already, people, "mails of the fan-out arrived", timeout=patience)
    stage.until_empty()
    peak = gauges.peak_rss_mib(consumer.popen.pid)
    for process in (consumer, worker):
        stage.end(process)
    if (arrived := stage.mails.count() - already) != people:
        raise BenchFailed(f"{arrived} mails of the fan-out arrived where {people} were planned")
    stage.check_sent(workload.news_deliveries(run, people))
    values = {FIRST: first - began, GROWTH: peak - before, PEAK: peak}
    return Figure(NAME, people, ended - began, values=values, sink=stage.mails.name)


def _one(stage: Stage) -> None:
    already = stage.mails.count()
    stage.publish(EMAIL, [workload.event(EMAIL, 0, f"warm{already}")])
    until(lambda: stage.mails.count() > already and stage.empty(), "the warming mail arrived")
