"""`estimate`: a load and what things cost → processes, cores, memory and disk. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from notifier.sizing.costs import Costs, Role

#: Share of a core that is in use at the peak: beyond it queues grow in every uneven minute.
BUSY = 0.6
#: Share of a Redis server's memory that data may take: writing the append-only file anew copies what changes meanwhile.
FILLED = 0.6
#: So that one may be updated, or die.
AT_LEAST = 2
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be sent."""

    deliveries_a_day: float
    webhooks: float = 0.5
    """Share of them; the rest are mails."""
    recipients: float = 1.0
    """Deliveries of one event."""
    peak: float = 3.0
    """How many times as much the busiest hour has."""
    failed: float = 0.02
    """Share that fails, or is sent only after it was tried again: those are kept as long."""
    event_bytes: float = 1000.0
    sent_s: float = 7 * _DAY_S
    """How long the ledger keeps what was sent, and what failed; seconds."""
    failed_s: float = 30 * _DAY_S
    outage_s: float = 3600.0
    """How long everything waits in the broker, because nothing can be delivered; seconds, at the peak."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a load needs. Rates and cores are those of the busiest hour."""

    deliveries_s: float
    events_s: float
    worker_cores: float
    workers: int
    workers_mib: float
    consumer_cores: float
    consumers: int
    consumers_mib: float
    broker_cores: float
    broker_bytes: float
    """On the disk of each node of the broker that has a copy of the queues."""
    redis_cores: float
    redis_bytes: float
    redis_servers: int
    """Primaries; one is no Cluster."""
    first: str
    """What would need more than one server first, or does."""


def estimate(load: Load, costs: Costs, redis_server_bytes: float) -> Needs:
    """``redis_server_bytes``: memory of the largest server that Redis may have."""
    rate = load.deliveries_a_day / _DAY_S * load.peak
    events = rate / load.recipients

    def cores(role: Role) -> float:
        planned = events * _of(costs.cpu_ms.event, role) + (rate - events) * _of(costs.cpu_ms.recipient, role)
        sent = load.webhooks * _of(costs.cpu_ms.webhook, role) + (1 - load.webhooks) * _of(costs.cpu_ms.email, role)
        return (planned + rate * sent) / 1000

    workers, consumers = _processes(cores("worker")), _processes(cores("consumer"))
    kept = load.deliveries_a_day / _DAY_S
    sent, failed = (1 - load.failed) * load.sent_s, load.failed * load.failed_s
    stored = kept * (sent * costs.sent_bytes + failed * costs.failed_bytes)
    by_memory = math.ceil(stored / (redis_server_bytes * FILLED))
    by_cpu = math.ceil(cores("redis") / BUSY)
    return Needs(
        deliveries_s=rate,
        events_s=events,
        worker_cores=cores("worker"),
        workers=workers,
        workers_mib=workers * costs.worker_mib,
        consumer_cores=cores("consumer"),
        consumers=consumers,
        consumers_mib=consumers * costs.consumer_mib,
        broker_cores=cores("broker"),
        broker_bytes=load.outage_s * (rate * costs.message_bytes + events * load.event_bytes),
        redis_cores=cores("redis"),
        redis_bytes=stored,
        redis_servers=max(by_memory, by_cpu, 1),
        first="the memory of Redis" if by_memory >= by_cpu else "the core of Redis",
    )


def _of(cost: dict[Role, float], role: Role) -> float:
    return cost.get(role, 0.0)


def _processes(cores: float) -> int:
    """Each uses one core."""
    return max(math.ceil(cores / BUSY), AT_LEAST)
