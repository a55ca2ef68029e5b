"""One event for 100,000 people: the first delivery, and the consumer's memory."""

from tests.bench import fan_out
from tests.bench.figures import FIRST, GROWTH, PEAK
from tests.bench.pressure.findings import Finding
from tests.bench.stage import Stage


def run(stage: Stage, *, quick: bool) -> Finding:
    """Fails by itself when a mail is missing or doubled, or the ledger does not say sent of each."""
    people = 10_000 if quick else 100_000
    finding = Finding("fan-out", f"one event for {people:,} recipients, 1 consumer, 1 worker")
    figure = fan_out.figure(stage, people)
    first, growth, peak = (figure.values[name] for name in (FIRST, GROWTH, PEAK))
    finding.add("first delivery after", f"{first:.2f} s", "≤ 0.5 s", first <= 0.5)
    finding.add("consumer's memory before", f"{peak - growth:.0f} MiB")
    finding.add("at the peak", f"{peak:.0f} MiB")
    finding.add("growth", f"{growth:.0f} MiB", "≤ 60 MiB", growth <= 60)
    finding.add("deliveries a second, to the last one", f"{figure.rate:,.0f}")
    finding.add_lost(people, 0, 0)
    return finding
