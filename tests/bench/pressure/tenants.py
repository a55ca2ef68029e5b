"""Very many low deliveries of one tenant wait, then another tenant wants one high and one low."""

import time
from dataclasses import dataclass

from tests.bench import workload
from tests.bench.bars import percentile
from tests.bench.flood import fill
from tests.bench.pressure.findings import Finding
from tests.bench.progress import say, until_count
from tests.bench.stage import Stage
from tests.bench.waiting import until
from tests.bench.workload import HIGH, LOW, Kind

LOUD, QUIET = "loud", "quiet"
#: Pairs of one high and one low, a second apart: one pair alone could be lucky.
_PAIRS = 10


@dataclass(frozen=True)
class Probe:
    """One delivery of the quiet tenant."""

    kind: Kind
    recipient: str
    published: float


def run(stage: Stage, *, quick: bool) -> Finding:
    """One consumer and one worker for everything."""
    flood = 20_000 if quick else 200_000
    finding = Finding(
        "tenants", f"{flood:,} low deliveries of one tenant wait; another tenant's high and low, 1 worker"
    )
    consumer = stage.consumer(50)
    fill(stage, flood, "loud", tenant=LOUD)
    worker = stage.worker(stamping=True)
    until(lambda: stage.stamping.count() > 0, "the worker has begun")
    probes = []
    for number in range(3 if quick else _PAIRS):
        for kind in (HIGH, LOW):
            probes.append(Probe(kind, workload.address(number, f"quiet-{kind.priority}"), time.time()))
            stage.publish(kind, [workload.event(kind, number, f"quiet-{kind.priority}", QUIET)])
        time.sleep(1)
    at_end = stage.waiting(LOW) * 50
    say(f"  about {at_end:,} low deliveries still wait")
    total = flood + len(probes)
    until_count(stage.stamping.count, total, "mails arrived", timeout=900, every=0.2)
    stage.until_empty()
    for process in (worker, consumer):
        stage.end(process)
    _report(finding, stage, probes, flood, at_end)
    return finding


def _report(finding: Finding, stage: Stage, probes: list[Probe], flood: int, at_end: int) -> None:
    came: dict[str, float] = {}
    doubled = 0
    for line in stage.stamping.lines():
        doubled += line.recipient in came
        came.setdefault(line.recipient, line.moment)
    loud = [workload.address(number, "loud") for number in range(flood)]
    finding.add("low of the loud tenant still waiting after the last probe", f"about {at_end:,}")
    for kind, bar in ((HIGH, 150.0), (LOW, None)):
        times = sorted(came[p.recipient] - p.published for p in probes if p.kind is kind and p.recipient in came)
        first = next(p for p in probes if p.kind is kind)
        finding.add(
            f"{kind.priority} of the quiet tenant, the first one",
            f"{(came[first.recipient] - first.published) * 1000:,.0f} ms",
        )
        slowest = percentile(times, 99) * 1000
        finding.add(
            f"{kind.priority} of the quiet tenant, median (max) of {len(times)}",
            f"{percentile(times, 50) * 1000:,.0f} ms ({slowest:,.0f} ms)",
            f"max ≤ {bar:.0f} ms" if bar else "",
            slowest <= bar if bar else None,
        )
    ended = max(came[recipient] for recipient in loud if recipient in came) - probes[0].published
    finding.add("the loud tenant's last one", f"{ended:.0f} s after the first probe")
    lost = sum(1 for r in [*loud, *(p.recipient for p in probes)] if r not in came)
    finding.add_lost(flood + len(probes), lost, doubled)
