"""Mails that wait in front of frozen workers, and what a relay made of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.acceptance.service import Process
from tests.bench import gauges, workload
from tests.bench.flood import fill
from tests.bench.pressure.findings import Finding
from tests.bench.pressure.tally import Tally
from tests.bench.progress import until_count
from tests.bench.relay import Relay
from tests.bench.stage import Stage
from tests.bench.waiting import BenchFailed
from tests.bench.workload import EMAIL

#: Seconds between tries; the default's first one is half a minute, its third ten minutes.
RETRIES = "5 5 10 10 20 20 30 30 60 60 60 60"


def start_workers(stage: Stage, relay: Relay, count: int, **variables: str) -> list[Process]:
    """So many worker processes that send to this relay."""
    service = stage.service(relay, **{"NOTIFIER_EMAIL_RETRY": RETRIES, **variables})
    return [service.worker("-n", f"mailing{number}@%h", "-l", "warning") for number in range(count)]


@contextmanager
def waiting_mails(stage: Stage, workers: list[Process], count: int, run: str) -> Iterator[None]:
    """Planned while the workers are frozen; they go on when this is left."""
    with gauges.frozen(worker.popen.pid for worker in workers):
        consumer = stage.consumer(50)
        fill(stage, count, run, kind=EMAIL)
        stage.end(consumer)
        yield


def finish(stage: Stage, relay: Relay, workers: list[Process], finding: Finding, count: int, run: str) -> Tally:
    """Wait for every mail, end the workers, and compare relay and ledger with what was planned."""
    until_count(relay.count, count, "mails arrived", timeout=900, every=0.1)
    stage.until_empty(timeout=300)
    for worker in workers:
        stage.end(worker)
    tally = Tally.of(relay.lines(), run)
    lost = tally.lost(workload.address(number, run) for number in range(count))
    finding.add_lost(count, lost, tally.doubled)
    statuses = stage.statuses(workload.deliveries(EMAIL, count, run, ""))
    finding.add("ledger", ", ".join(f"{number:,} {status}" for status, number in statuses.most_common()))
    if statuses != {"sent": count}:
        raise BenchFailed(f"the relay took all {count:,} mails, but the ledger says {dict(statuses)}")
    return tally
