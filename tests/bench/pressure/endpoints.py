"""Two hundred endpoints of which forty are ill, against the same work for the hundred and sixty that are well.

The same number of webhooks for the well ones waits in every run, in front of frozen workers, those for the ill ones
spread evenly between them. Throughput is that of the well ones, from the thaw to the last of theirs. Runs with and
without the ill take turns, because a shared machine is not the same from minute to minute. In the last one the ill stay
so for a while longer, then they are mended, and everything must arrive.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from notifier.domain.ids import delivery_id
from tests.acceptance.service import Process
from tests.bench import gauges, workload
from tests.bench.pings import intake_is_empty
from tests.bench.pressure.counters import labelled
from tests.bench.pressure.findings import Finding
from tests.bench.pressure.receivers import BUSY, HANGING, RETRY_AFTER_S, WELL, Receivers, Seen
from tests.bench.progress import rest, say, shown, until_count
from tests.bench.speed import Speed
from tests.bench.stage import Stage
from tests.bench.waiting import until

WORKERS = 2
#: Seconds between tries of a delivery; the default's second one is five minutes, longer than anybody watches.
_RETRIES = "5 10 10 20 20 30 30 60 60 60 60"
_PATIENCE_S = 600.0


@dataclass
class Arrivals:
    """What the receivers have logged."""

    receivers: Receivers
    well: int = 0
    last_well: float = 0.0
    taken: Counter[str] = field(default_factory=Counter)
    """Requests answered with 204, by webhook-id."""
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By kind of receiver; 499 is a caller who gave up."""

    def look(self) -> None:
        """Read what is new."""
        for seen in self.receivers.fresh():
            self._count(seen)

    def _count(self, seen: Seen) -> None:
        kind = seen.path.split("/")[1]
        self.statuses[kind, seen.status] += 1
        if seen.status == 204:
            self.taken[seen.webhook_id] += 1
            if kind == "well":
                self.well += 1
                self.last_well = seen.moment

    def well_now(self) -> int:
        """Webhooks that well receivers have taken."""
        self.look()
        return self.well

    def taken_now(self) -> int:
        """Different webhooks that any receiver has taken."""
        self.look()
        return len(self.taken)


@dataclass(frozen=True)
class Illness:
    """What the ill endpoints were like, and how they came back."""

    waiting: Counter[str]
    """Where their webhooks were just before they were mended, by the ledger's status."""
    opened: float
    closed: float
    arrival_s: float
    """Seconds from mending to the last of their webhooks."""


@dataclass(frozen=True)
class Measured:
    """One run."""

    rate: float
    """Webhooks a second of the well endpoints."""
    cpu: float
    """CPU seconds of the workers until then, for a thousand of these."""
    piece: float
    """CPU seconds of the yardstick's piece of work meanwhile."""
    expected: list[str]
    arrivals: Arrivals
    illness: Illness | None = None


def run(stage: Stage, *, quick: bool) -> Finding:
    """The well alone, all together, and so on in turn; the figures are medians."""
    each, rounds, ill_for = (50, 1, 20.0) if quick else (500, 5, 75.0)
    finding = Finding(
        "endpoints",
        f"{WELL} endpoints well, {HANGING} hang for 30 s, {BUSY} answer 503 with Retry-After {RETRY_AFTER_S}; "
        f"{each} webhooks to each, {WORKERS} workers",
    )
    receivers = Receivers(stage.folder("receivers"))
    try:
        with Speed(stage.folder("speed")) as speed:
            alone, beside = [], []
            for number in range(1, rounds + 1):
                alone.append(_measure(stage, receivers, speed, each, f"alone-{number}", WELL))
                until_mended, everybody = ill_for if number == rounds else None, WELL + HANGING + BUSY
                beside.append(_measure(stage, receivers, speed, each, f"beside-{number}", everybody, until_mended))
    finally:
        receivers.close()
    _report(finding, each, alone, beside)
    return finding


def _measure(
    stage: Stage,
    receivers: Receivers,
    speed: Speed,
    each: int,
    run: str,
    endpoints: int,
    ill_for: float | None = None,
) -> Measured:
    """With ill ones and without ``ill_for`` the run ends with the last of the well; the rest is thrown away."""
    stage.redis.flush()
    kinds = [workload.receiver(number) for number in range(endpoints)]
    urls = receivers.urls()[:endpoints]
    ids = stage.new_endpoints((url, kind.event_type) for url, kind in zip(urls, kinds, strict=True))
    expected = [
        delivery_id(workload.SOURCE, f"{run}-{number}", kinds[0].rule, f"endpoint:{ids[number % endpoints]}")
        for number in range(each * endpoints)
    ]
    workers, beat = _workers(stage), stage.service(stage.mails).beat()
    arrivals = Arrivals(receivers)
    arrivals.look()
    with gauges.frozen(worker.popen.pid for worker in workers):
        _plan(stage, kinds, each, run)
        pids = [worker.popen.pid for worker in workers]
        used, began, thawed = gauges.cpu_seconds(pids), time.time(), time.monotonic()
    healthy = WELL * each
    until_count(arrivals.well_now, healthy, f"webhooks of the well ({run})", timeout=_PATIENCE_S, every=0.1)
    rate = healthy / (arrivals.last_well - began)
    cpu, piece = (gauges.cpu_seconds(pids) - used) / healthy * 1000, speed.piece_s(thawed, time.monotonic())
    say(f"  {run}: {rate:,.0f} webhooks/s of the well")
    illness = None
    if ill_for is None and endpoints > WELL:
        for process in (beat, *workers):
            process.kill()
        stage.purge()
        return Measured(rate, cpu, piece, [], arrivals)
    if ill_for is not None:
        ill = [identity for number, identity in enumerate(expected) if number % endpoints >= WELL]
        rest(max(0.0, began + ill_for - time.time()), "seconds of illness")
        illness = _heal(stage, receivers, arrivals, workers, ill, len(expected))
    until(lambda: _idle(stage), "all queues empty", every=0.2, timeout=_PATIENCE_S)
    for process in (beat, *workers):
        stage.end(process)
    arrivals.look()
    return Measured(rate, cpu, piece, expected, arrivals, illness)


def _heal(
    stage: Stage,
    receivers: Receivers,
    arrivals: Arrivals,
    workers: Sequence[Process],
    ill: Sequence[str],
    expected: int,
) -> Illness:
    """Mend them and wait for what is owed."""
    waiting = stage.statuses(ill)
    receivers.mend()
    mended = time.monotonic()
    what = "webhooks of all, the ill having recovered"
    ended = until_count(arrivals.taken_now, expected, what, timeout=_PATIENCE_S, every=0.2)
    opened, closed = (
        sum(labelled(worker, "notifier_endpoint_breakers_total", "change", change) for worker in workers)
        for change in ("opened", "closed")
    )
    return Illness(waiting, opened, closed, ended - mended)


def _idle(stage: Stage) -> bool:
    """Every queue but the digest's, where beat asks for a sweep every two seconds."""
    depths = stage.rabbit.queue_depths(stage.broker_url)
    return not any(depth for queue, depth in depths.items() if not queue.startswith("digest"))


def _workers(stage: Stage) -> list[Process]:
    service = stage.service(stage.mails, NOTIFIER_WEBHOOK_RETRY=_RETRIES)
    return [service.worker("-n", f"pressed{number}@%h", "-l", "warning") for number in range(WORKERS)]


def _plan(stage: Stage, kinds: Sequence[workload.Kind], each: int, run: str) -> None:
    """One webhook to each in turn, so that no batch is of the ill alone."""
    consumer = stage.consumer(50)
    total = each * len(kinds)
    with shown(f"webhooks planned ({run})", total) as advance:
        for number in range(total):
            kind = kinds[number % len(kinds)]
            stage.publish(kind, [workload.event(kind, number, run)])
            advance(number)
    until(lambda: intake_is_empty(stage), f"{total} webhooks are planned", every=0.2, timeout=_PATIENCE_S)
    stage.end(consumer)


def _report(finding: Finding, each: int, alone: Sequence[Measured], beside: Sequence[Measured]) -> None:
    last = beside[-1]
    ratio = median(one.rate for one in beside) / median(one.rate for one in alone)
    steady = median(one.rate * one.piece for one in beside) / median(one.rate * one.piece for one in alone)
    finding.add("the 160 alone, webhooks/s", _all(f"{one.rate:,.0f}" for one in alone))
    finding.add("the 160 beside the ill, alternating with these", _all(f"{one.rate:,.0f}" for one in beside))
    finding.add("share of their throughput that they keep (medians)", f"{ratio:.0%}", "≥ 90%", ratio >= 0.9)
    finding.add(
        "a fixed piece of work beside each run, CPU-ms: alone", _all(f"{one.piece * 1000:.2f}" for one in alone)
    )
    finding.add("the same beside the ill", _all(f"{one.piece * 1000:.2f}" for one in beside))
    finding.add("share, corrected for the speed of the machine in each run", f"{steady:.0%}")
    finding.add("workers' CPU-s for 1,000 webhooks of the 160, alone", _all(f"{one.cpu:.2f}" for one in alone))
    finding.add("the same beside the ill, including the work for those", _all(f"{one.cpu:.2f}" for one in beside))
    statuses, illness = last.arrivals.statuses, last.illness
    finding.add("webhooks to the ill", f"{(HANGING + BUSY) * each:,}")
    finding.add("tries of the hanging ones that timed out", f"{statuses['hanging', 499]:,}")
    finding.add("tries that were answered 503", f"{statuses['busy', 503]:,}")
    if illness is not None:
        waiting = ", ".join(f"{number:,} {status}" for status, number in illness.waiting.most_common())
        finding.add("webhooks to the ill just before recovery, by status", waiting)
        changes = f"{illness.opened:.0f} and {illness.closed:.0f}"
        finding.add("breakers opened and closed", changes, "as often", illness.opened == illness.closed > 0)
        finding.add("after recovery, the last webhook of the ill came after", f"{illness.arrival_s:.0f} s")
    taken = last.arrivals.taken
    lost = sum(1 for identity in last.expected if not taken[identity])
    finding.add_lost(len(last.expected), lost, sum(taken[one] - 1 for one in last.expected if taken[one] > 1))


def _all(figures: Iterable[str]) -> str:
    return ", ".join(figures)
