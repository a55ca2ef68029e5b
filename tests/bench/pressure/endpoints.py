"""Two hundred endpoints of which forty are ill, against the same work for the hundred and sixty that are well.

The same number of webhooks for the well ones waits in both runs, in front of frozen workers, those for the ill ones
spread evenly between them. Throughput is that of the well ones, from the thaw to the last of theirs. The ill ones
stay ill for a while longer, then they are mended, and everything must arrive.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from notifier.domain.ids import delivery_id
from tests.acceptance.service import Process
from tests.bench import gauges, workload
from tests.bench.pings import intake_is_empty
from tests.bench.pressure.findings import Finding
from tests.bench.pressure.receivers import BUSY, HANGING, RETRY_AFTER_S, WELL, Receivers, Seen
from tests.bench.progress import rest, say, shown, until_count
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


def run(stage: Stage, *, quick: bool) -> Finding:
    """Both runs, one after the other, with the same two workers' settings."""
    each, ill_for = (50, 20.0) if quick else (500, 75.0)
    finding = Finding(
        "endpoints",
        f"{WELL} endpoints well, {HANGING} hang for 30 s, {BUSY} answer 503 with Retry-After {RETRY_AFTER_S}; "
        f"{each} webhooks to each, {WORKERS} workers",
    )
    receivers = Receivers(stage.folder("receivers"))
    try:
        alone, _ = _measure(stage, receivers, each, "alone", WELL)
        receivers.sicken()
        beside, arrivals = _measure(stage, receivers, each, "beside", WELL + HANGING + BUSY, ill_for=ill_for)
    finally:
        receivers.close()
    _report(finding, each, alone, beside, arrivals)
    return finding


@dataclass(frozen=True)
class Measured:
    """One run."""

    rate: float
    """Webhooks a second of the well endpoints."""
    arrival_s: float
    """Seconds from mending to the last webhook of the ill."""
    expected: list[str]


def _measure(
    stage: Stage, receivers: Receivers, each: int, run: str, endpoints: int, *, ill_for: float = 0.0
) -> tuple[Measured, Arrivals]:
    stage.redis.flush()
    kinds = [workload.receiver(number) for number in range(endpoints)]
    urls = receivers.urls()[:endpoints]
    ids = stage.new_endpoints((url, kind.event_type) for url, kind in zip(urls, kinds, strict=True))
    workers = _workers(stage)
    arrivals = Arrivals(receivers)
    arrivals.look()
    with gauges.frozen(worker.popen.pid for worker in workers):
        _plan(stage, kinds, each, run)
        began = time.time()
    healthy = WELL * each
    until_count(arrivals.well_now, healthy, f"webhooks of the well ({run})", timeout=_PATIENCE_S, every=0.1)
    say(f"  {run}: {healthy / (arrivals.last_well - began):,.0f} webhooks/s of the well")
    arrival = _heal(receivers, arrivals, each * endpoints, began + ill_for) if ill_for else 0.0
    until(stage.empty, "all queues empty", every=0.2, timeout=_PATIENCE_S)
    for worker in workers:
        stage.end(worker)
    arrivals.look()
    expected = [
        delivery_id(workload.SOURCE, f"{run}-{number}", kinds[0].rule, f"endpoint:{ids[number % endpoints]}")
        for number in range(each * endpoints)
    ]
    return Measured(healthy / (arrivals.last_well - began), arrival, expected), arrivals


def _heal(receivers: Receivers, arrivals: Arrivals, expected: int, heal_at: float) -> float:
    """Let them be ill for a while, then mend them and wait for what is owed; seconds that took."""
    rest(max(0.0, heal_at - time.time()), "seconds of illness")
    receivers.mend()
    mended = time.monotonic()
    what = "webhooks of all, the ill being mended"
    return until_count(arrivals.taken_now, expected, what, timeout=_PATIENCE_S, every=0.2) - mended


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


def _report(finding: Finding, each: int, alone: Measured, beside: Measured, arrivals: Arrivals) -> None:
    ratio = beside.rate / alone.rate
    finding.add("the 160 alone, webhooks/s", f"{alone.rate:,.0f}")
    finding.add("the 160 beside the ill, webhooks/s", f"{beside.rate:,.0f}")
    finding.add("share of their throughput they keep", f"{ratio:.0%}", "≥ 90%", ratio >= 0.9)
    owed = (HANGING + BUSY) * each
    finding.add("webhooks to the ill", f"{owed:,}")
    finding.add("tries of the hanging ones that timed out", f"{arrivals.statuses['hanging', 499]:,}")
    finding.add("tries that were answered 503", f"{arrivals.statuses['busy', 503]:,}")
    finding.add("after mending, the last webhook of the ill came after", f"{beside.arrival_s:.0f} s")
    lost = sum(1 for identity in beside.expected if not arrivals.taken[identity])
    doubled = sum(arrivals.taken[identity] - 1 for identity in beside.expected if arrivals.taken[identity] > 1)
    finding.add_lost(len(beside.expected), lost, doubled)
