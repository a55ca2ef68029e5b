"""Minutes at 70 % of what the service can do here, with faults: nothing lost, memory flat, ledger equals relay.

One consumer and two workers; one of the workers is the victim of every kill, so that the other's memory can be watched
for the whole time.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.acceptance.service import Process
from tests.bench import gauges, workload
from tests.bench.pressure.faults import Faults
from tests.bench.pressure.findings import Finding
from tests.bench.pressure.mailing import start_workers
from tests.bench.pressure.tally import Tally
from tests.bench.progress import say, shown, until_count
from tests.bench.relay import Relay
from tests.bench.sinks import last_number
from tests.bench.stage import Stage
from tests.bench.waiting import BenchFailed
from tests.bench.workload import EMAIL
from tests.servers.processes import start

SHARE = 0.7
#: Growth of a process between its first and its last minute that still counts as flat.
_FLAT = 1.10
_SAMPLE_EVERY_S = 2.0
_RUN = "soak"


@dataclass
class Memory:
    """RSS of the processes that live through the soak, sampled."""

    processes: Mapping[str, int]
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def look(self, at: float) -> None:
        """One sample of each, in MiB."""
        for role, pid in self.processes.items():
            self.samples.setdefault(role, []).append((at, gauges.rss_mib(pid)))

    def early_and_late(self, role: str, window: float) -> tuple[float, float]:
        """Medians of the first window after one window of warming up, and of the last one."""
        samples = self.samples[role]
        end = samples[-1][0]
        early = [mib for at, mib in samples if window <= at < 2 * window]
        late = [mib for at, mib in samples if at > end - window]
        return median(early), median(late)


def run(stage: Stage, *, minutes: float) -> Finding:
    """Measure the maximum, then stay at a share of it."""
    relay = Relay(stage.folder("soak-relay"))
    try:
        return _soak(stage, relay, minutes * 60)
    finally:
        relay.close()


def _soak(stage: Stage, relay: Relay, seconds: float) -> Finding:
    consumer = stage.service(relay).consumer()
    steady, victim = start_workers(stage, relay, 2)
    maximum = _maximum(stage, relay, [consumer, steady, victim], 6000 if seconds < 300 else 20_000)
    rate = SHARE * maximum
    finding = Finding(
        "soak", f"{seconds / 60:g} minutes at {rate:,.0f}/s, {SHARE:.0%} of {maximum:,.0f}/s, with faults"
    )
    faults = Faults(stage, relay, victim, lambda: start_workers(stage, relay, 1)[0])
    memory = Memory({"consumer": consumer.popen.pid, "worker": steady.popen.pid})
    log = stage.folder("steady") / "steady.log"
    published = _publish_with_faults(stage, log, rate, seconds, faults, memory)
    stage.until_empty(timeout=600)
    for process in (consumer, steady):
        stage.end(process)
    faults.end()
    _report(finding, stage, relay, published, faults)
    _report_memory(finding, memory, seconds)
    return finding


def _maximum(stage: Stage, relay: Relay, processes: Sequence[Process], count: int) -> float:
    """Mails a second the whole way, with this relay, when that many events wait."""
    with gauges.frozen(process.popen.pid for process in processes):
        stage.publish_events(EMAIL, count, "maximum")
        began = time.monotonic()
    ended = until_count(relay.count, count, "mails to find the maximum", timeout=300)
    stage.until_empty()
    return count / (ended - began)


def _publish_with_faults(stage: Stage, log: Path, rate: float, seconds: float, faults: Faults, memory: Memory) -> int:
    command = [sys.executable, "-m", "tests.bench.pressure.steady", stage.broker_url, f"{rate:.0f}", _RUN]
    publisher = start(command, log)
    began = time.monotonic()
    next_fault, next_sample = faults.pause(), 0.0
    with shown("seconds of soak", seconds) as advance:
        while (at := time.monotonic() - began) < seconds:
            if at >= next_sample:
                memory.look(at)
                next_sample = at + _SAMPLE_EVERY_S
            if at >= next_fault and at < seconds - 10:
                say(f"  {at:.0f} s: {faults.strike()}")
                next_fault = time.monotonic() - began + faults.pause()
            advance(round(at))
            time.sleep(0.2)
    publisher.terminate()
    if publisher.wait(60) != 0:
        raise BenchFailed(f"the publisher ended with {publisher.returncode}: {log.read_text()[-500:]}")
    return last_number(log, rb"\ndone (\d+)\n")


def _report(finding: Finding, stage: Stage, relay: Relay, published: int, faults: Faults) -> None:
    for fault, times in sorted(faults.counts().items()):
        finding.add(fault, f"{times} times")
    tally = Tally.of(relay.lines(), _RUN)
    addresses = [workload.address(number, _RUN) for number in range(published)]
    finding.add("refused by the relay and tried again", f"{tally.refused_by_second.total():,}")
    statuses = stage.statuses(workload.deliveries(EMAIL, published, _RUN, ""))
    says = ", ".join(f"{number:,} {status}" for status, number in statuses.most_common())
    reached = sum(1 for address in addresses if tally.taken[address])
    finding.add("ledger", says, f"{reached:,} sent, as the relay", statuses["sent"] == reached == published)
    finding.add_lost(published, published - reached, tally.doubled)
    causes = faults.causes(tally.repeated()).most_common()
    finding.add("what began just after they came first", ", ".join(f"{number:,}: {name}" for name, number in causes))


def _report_memory(finding: Finding, memory: Memory, seconds: float) -> None:
    window = min(60.0, seconds / 4)
    for role in memory.processes:
        early, late = memory.early_and_late(role, window)
        what = f"memory of the {role}, after {window:.0f}–{2 * window:.0f} s and in the last {window:.0f} s"
        finding.add(what, f"{early:.0f} → {late:.0f} MiB", f"≤ +{_FLAT - 1:.0%}", late <= early * _FLAT)
