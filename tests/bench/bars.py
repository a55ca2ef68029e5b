"""What this service sets out to reach, each beside what was measured and whether it holds.

A bar is for two cores that nothing else uses. Where plain Celery, which is measured in the same runs, is slower than it
was on the machine that a rate was set on, that rate is asked for as so many times plain Celery's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench import fan_out, flood, in_flight
from tests.bench.figures import FIRST, GROWTH, PEAK, REDIS_BYTES, REDIS_TRIPS, Figure

Read = Callable[[Figure], float | None]


@dataclass(frozen=True)
class Peer:
    """What plain Celery did on the machine that the rates were set on."""

    scenario: str
    rate: float
    """Deliveries a second."""
    cpu: float
    """CPU seconds for a thousand of them."""


#: With `tests.bench.plain`'s flags (docs/performance/figures.md, What a user would pick instead).
MAILS, HOOKS = Peer("plain Celery, email", 137, 7.31), Peer("plain Celery, webhook", 211, 4.65)


@dataclass(frozen=True)
class Bar:
    """One line to reach: a reading of one scenario, and its least or greatest good value."""

    what: str
    scenario: str
    read: Read
    limit: float
    at_least: bool = False
    peer: Peer | None = None
    """Whose speed on the machine tells how fast it is; None for what hardly depends on that."""

    def slowness(self, rate: float, cpu: float) -> float:
        """How many times as slow as there plain Celery is here, by what this bar is about; 1 where it is faster."""
        assert self.peer is not None
        return max(1.0, self.peer.rate / rate if self.at_least else cpu / self.peer.cpu)

    def on(self, slowness: float) -> float:
        """The limit for a machine that is so many times as slow."""
        return self.limit / slowness if self.at_least else self.limit * slowness

    def text(self, limit: float) -> str:
        """A limit as people write it."""
        number = f"{limit:,.0f}" if limit >= 100 else f"{limit:.3g}"
        return f"{'≥' if self.at_least else '≤'} {number}"


@dataclass(frozen=True)
class Verdict:
    """A bar and the median of what was measured; None when the scenario did not run."""

    bar: Bar
    measured: float | None
    slowness: float = 1.0
    """Of the machine, by plain Celery in the same runs."""

    @property
    def here(self) -> float:
        """The bar's limit on this machine."""
        return self.bar.on(self.slowness)

    @property
    def word(self) -> str:
        """met, met for a machine that is so slow, not met, or not measured."""
        if self.measured is None:
            return "not measured"
        if self._holds(self.bar.limit):
            return "met"
        return "met for this machine" if self._holds(self.here) else "not met"

    def _holds(self, limit: float) -> bool:
        assert self.measured is not None
        return self.measured >= limit if self.bar.at_least else self.measured <= limit


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
    Bar("email, one worker process: deliveries/s", _EMAIL, _rate, 4000, at_least=True, peer=MAILS),
    Bar("email: CPU-s/1000", _EMAIL, _cpu("workers"), 0.25, peer=MAILS),
    Bar("webhook, one worker process: deliveries/s", _HOOK, _rate, 4500, at_least=True, peer=HOOKS),
    Bar("webhook: CPU-s/1000", _HOOK, _cpu("workers"), 0.22, peer=HOOKS),
    Bar("intake, one consumer process: events/s", _INTAKE, _rate, 8000, at_least=True, peer=MAILS),
    Bar("intake: CPU-s/1000", _INTAKE, _cpu("consumer"), 0.12, peer=MAILS),
    Bar("whole way, 1 consumer + 2 workers: emails/s", "whole way, 2 workers", _rate, 3000, at_least=True, peer=MAILS),
    Bar("idle latency, publish → final dot, p50, ms", "latency, idle", _late(50), 5),
    Bar("idle latency, p99, ms", "latency, idle", _late(99), 12),
    Bar("high while 200,000 low wait, own worker, p99, ms", flood.DEDICATED, _late(99), 30),
    Bar("high while 200,000 low wait, shared worker, p99, ms", flood.SHARED, _late(99), 150),
    Bar("worker, 2,000 webhooks in flight: peak RSS, MiB", in_flight.HOOKS, _value(PEAK), 150),
    Bar("fan-out to 100,000: first delivery, s", fan_out.NAME, _value(FIRST), 0.5),
    Bar("fan-out to 100,000: growth of the consumer, MiB", fan_out.NAME, _value(GROWTH), 60),
    Bar("Redis bytes an event with one sent delivery", _EMAIL, _value(REDIS_BYTES), 300),
    Bar("Redis round trips a delivery, worker busy", _EMAIL, _value(REDIS_TRIPS), 0.1),
)


def verdicts(groups: Mapping[str, Sequence[Figure]]) -> list[Verdict]:
    """Every bar, with the median of its scenario's runs."""
    return [Verdict(bar, _median(bar.read, groups.get(bar.scenario, ())), _slowness(bar, groups)) for bar in BARS]


def _slowness(bar: Bar, groups: Mapping[str, Sequence[Figure]]) -> float:
    runs = groups.get(bar.peer.scenario, ()) if bar.peer else ()
    rate, cpu = _median(_rate, runs), _median(_cpu("workers"), runs)
    return bar.slowness(rate, cpu) if rate and cpu else 1.0


def _median(read: Read, runs: Sequence[Figure]) -> float | None:
    values = [value for run in runs if (value := read(run)) is not None]
    return median(values) if values else None
