"""What one measurement found, how much is sent for it, and the names of what is neither a rate nor a latency."""

from dataclasses import dataclass, field

REDIS_TRIPS = "Redis round trips a delivery"
REDIS_BYTES = "Redis bytes an event with one sent delivery"
BATCH = "deliveries a task"
WAITING = "low deliveries waiting at the end"
IN_FLIGHT = "most deliveries in flight"
PEAK = "peak RSS, MiB"
FIRST = "first delivery after, s"
GROWTH = "growth of the consumer, MiB"


@dataclass(frozen=True)
class Figure:
    """One scenario, measured once."""

    name: str
    count: int
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by role; the first is the one measured, the others are beside it."""
    peak_rss: dict[str, float] = field(default_factory=dict)
    """MiB by role."""
    latency_ms: tuple[float, ...] = ()
    """Sorted; only of latency scenarios."""
    sink: str = ""
    values: dict[str, float] = field(default_factory=dict)
    """What is neither a rate nor a latency, by its name in the report."""

    @property
    def rate(self) -> float:
        """Events or deliveries a second."""
        return self.count / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Sizes:
    """How much is sent: enough for a few seconds each on a laptop's core."""

    full: int = 6000
    """Events of scenarios with batches of 50."""
    ten: int = 4000
    one: int = 1500
    plain_mails: int = 500
    plain_hooks: int = 1000
    pings: int = 120
    flood: int = 200_000
    """Deliveries that wait while others are timed."""
    people: int = 100_000
    """Recipients of the fan-out."""
    in_flight: int = 2000

    @classmethod
    def quick(cls) -> "Sizes":
        """For a look, in about a minute and a half."""
        return cls(
            full=2500, ten=1000, one=500, plain_mails=200, plain_hooks=300, pings=40, flood=20_000, people=10_000
        )

    def of(self, batch: int) -> int:
        """Events of a scenario with batches of this size."""
        return {50: self.full, 10: self.ten, 1: self.one}[batch]
