"""The intake process."""

from __future__ import annotations

import asyncio
import time

from consumers.consumer import Consumer
from consumers.dead_letters import Examining, Taken
from consumers.intake import Intake, Limits
from consumers.pressure import Pressure
from consumers.session import Pace
from notifier import metrics
from notifier.domain.fairness import TenantShares, shard_of
from notifier.domain.parked import ParkedBatch, ParkedEvent
from notifier.domain.rule import Priority, WorkKind, queue_name
from notifier.failures.dead_letters import DeadLetter, DeadLetters, Examined
from notifier.logs import get, wide
from notifier.settings import Settings
from notifier.storage.connection import connect_async
from notifier.storage.directory import EndpointDirectory
from notifier.storage.ledger import AsyncLedger
from notifier.storage.parked import ParkedIndex
from notifier.storage.pressure import tell_full
from notifier.wiring.content import build_content
from notifier.wiring.stores import build_ledger, build_retention, build_store, check_storage

_log = get("intake")


def build_consumer(ours: Settings) -> Consumer:
    """Everything the intake process holds. Connects to nothing yet."""
    content = build_content(ours)
    store = connect_async(ours.redis_url, ca_file=ours.redis_ca_file)
    # For the calls that are rare and exist for threads only: the checks at start, dead letters, the index of failures.
    threads = build_store(ours, connections=4)
    index = ParkedIndex(threads)
    shares = build_shares(ours)
    intake = Intake(
        lambda: content.current.catalog,
        EndpointDirectory(store),
        AsyncLedger(store, build_retention(ours)),
        index_parked=lambda entries: asyncio.to_thread(index.add, entries),
        limits=Limits(ours.event_max_bytes, ours.batch_deliveries, ours.batch_bytes),
        shard=shares.shard,
        standing=shares.standing,
        pressure=Pressure(ours.queue_depth),
    )
    return Consumer(
        ours.broker_url,
        intake,
        lambda: asyncio.to_thread(check_storage, ours, threads),
        dead_letters=_examining(DeadLetters(build_ledger(ours, threads), index)),
        tell_full=lambda queues: store.run(tell_full(queues)),
        broker_ca_file=ours.broker_ca_file,
        # Whoever gave us the management API sets policies by it.
        advises=not ours.broker_management_url,
        pace=Pace(ours.intake_prefetch, ours.intake_linger),
        grace=ours.grace,
    )


def build_shares(ours: Settings) -> TenantShares:
    """Which tenants' deliveries travel in a shard of their lane."""

    def crowded(kind: WorkKind, priority: Priority, tenant: str) -> None:
        metrics.TENANTS_CROWDED.labels(kind.value, priority.value).inc()
        wide(_log, "tenant.crowded", tenant=tenant, queue=queue_name(kind, priority, shard_of(tenant)))

    return TenantShares(time.monotonic, burst=ours.tenant_burst, rate=ours.tenant_rate, on_crowded=crowded)


def _examining(letters: DeadLetters) -> Examining:
    """The steps of `failures.dead_letters` in threads, because they wait for Redis."""

    async def examine(taken: Taken) -> Examined:
        letter = DeadLetter(taken.routing_key, taken.body, taken.headers, taken.content_type)
        return await asyncio.to_thread(letters.examine, letter)

    async def index(parked: ParkedBatch | ParkedEvent) -> None:
        await asyncio.to_thread(letters.index, parked)

    return Examining(examine, index)
