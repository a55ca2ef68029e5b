"""What this service sets out to reach, each beside what was measured and whether it holds.

A bar is for two cores that nothing else uses. Where a machine is slower, the ratio to plain Celery in the same table
says more than the rate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench import fan_out, flood, in_flight
from tests.bench.figures import FIRST, GROWTH, PEAK, REDIS_BYTES, REDIS_TRIPS, Figure

Read = Callable[[Figure], float | None]


@dataclass(frozen=True)
class Bar:
    """One line to reach: a reading of one scenario, and its least or greatest good value."""

    what: str
    scenario: str
    read: Read
    limit: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.limit if self.at_least else value <= self.limit

    @property
    def text(self) -> str:
        """The bar as people write it."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:,g}"


@dataclass(frozen=True)
class Verdict:
    """A bar and the median of what was measured; None when the scenario did not run."""

    bar: Bar
    measured: float | None

    @property
    def word(self) -> str:
        """met, not met, or not measured."""
        if self.measured is None:
            return "not measured"
        return "met" if self.bar.is_met(self.measured) else "not met"


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest rank."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def per_thousand(figure: Figure, role: str) -> float:
    """CPU seconds of a role for a thousand events or deliveries."""
    return figure.cpu.get(role, 0.0) / figure.count * 1000


def _late(percent: float) -> Read:
    return lambda figure: percentile(figure.latency_ms, percent)


def _value(name: str) -> Read:
    return lambda figure: figure.values.get(name)


def _cpu(role: str) -> Read:
    return lambda figure: per_thousand(figure, role)


def _rate(figure: Figure) -> float:
    return figure.rate


_EMAIL, _HOOK, _INTAKE = "email, batches of 50", "webhook, batches of 50", "intake, batches of 50"
BARS = (
    Bar("email, one worker process: deliveries/s", _EMAIL, _rate, 4000, at_least=True),
    Bar("email: CPU-s/1000", _EMAIL, _cpu("workers"), 0.25),
    Bar("webhook, one worker process: deliveries/s", _HOOK, _rate, 4500, at_least=True),
    Bar("webhook: CPU-s/1000", _HOOK, _cpu("workers"), 0.22),
    Bar("intake, one consumer process: events/s", _INTAKE, _rate, 8000, at_least=True),
    Bar("intake: CPU-s/1000", _INTAKE, _cpu("consumer"), 0.12),
    Bar("whole way, 1 consumer + 2 workers: emails/s", "whole way, 2 workers", _rate, 3000, at_least=True),
    Bar("idle latency, publish → final dot, p50, ms", "latency, idle", _late(50), 5),
    Bar("idle latency, p99, ms", "latency, idle", _late(99), 12),
    Bar("high while 200,000 low wait, own worker, p99, ms", flood.DEDICATED, _late(99), 30),
    Bar("high while 200,000 low wait, shared worker, p99, ms", flood.SHARED, _late(99), 150),
    Bar("worker, 2,000 webhooks in flight: peak RSS, MiB", in_flight.HOOKS, _value(PEAK), 150),
    Bar("fan-out to 100,000: first delivery, s", fan_out.NAME, _value(FIRST), 0.5),
    Bar("fan-out to 100,000: growth of the consumer, MiB", fan_out.NAME, _value(GROWTH), 60),
    Bar("Redis bytes an event with one sent delivery", _EMAIL, _value(REDIS_BYTES), 600),
    Bar("Redis round trips a delivery, worker busy", _EMAIL, _value(REDIS_TRIPS), 0.1),
)


def verdicts(groups: Mapping[str, Sequence[Figure]]) -> list[Verdict]:
    """Every bar, with the median of its scenario's runs."""
    return [Verdict(bar, _median(bar, groups.get(bar.scenario, ()))) for bar in BARS]


def _median(bar: Bar, runs: Sequence[Figure]) -> float | None:
    values = [value for run in runs if (value := bar.read(run)) is not None]
    return median(values) if values else None
