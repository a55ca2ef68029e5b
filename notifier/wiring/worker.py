"""The worker process."""

from __future__ import annotations

import secrets
import time
from functools import partial
from typing import Any

from celery import Celery

from notifier.broker.alarm import ALARM
from notifier.broker.publisher import TaskPublisher
from notifier.domain.limit import parse_limits
from notifier.domain.rule import Channel, WorkKind
from notifier.engine.bridge import Engine
from notifier.engine.rate_watch import RateWatch
from notifier.failures.held import HeldDeliveries
from notifier.health import HealthServer
from notifier.process import channel_settings, settings
from notifier.storage.adaptive import AdaptiveRates
from notifier.storage.breakers import Breakers
from notifier.storage.cipher import Cipher
from notifier.storage.connection import connect_async
from notifier.storage.digests import Digests
from notifier.storage.held import HeldIndex
from notifier.storage.limits import Limits
from notifier.storage.relays import RelayBoard
from notifier.storage.store import Store
from notifier.storage.throttles import Throttles
from notifier.wiring.advice import warn_of_channels, warn_of_mail_settings, warn_of_senders
from notifier.wiring.channels import build_channels
from notifier.wiring.content import build_content
from notifier.wiring.edges import build_guard
from notifier.wiring.stores import build_ledger, build_store, build_stores, wait_for_storage
from notifier.worker.admission import SHARED, Admission
from notifier.worker.batch.follow_ups import FollowUps
from notifier.worker.batch.recorder import Recorder
from notifier.worker.batch.sender import Sender
from notifier.worker.celery_side.coalescer import Coalescer
from notifier.worker.celery_side.lifecycle import WorkerParts
from notifier.worker.celery_side.signs_of_life import SignsOfLife
from notifier.worker.digests.collector import Collector
from notifier.worker.dispatch import Dispatch
from notifier.worker.endpoints.delay_buffer import DelayBuffer
from notifier.worker.endpoints.gate import Gate
from notifier.worker.endpoints.health import EndpointHealth
from notifier.worker.endpoints.policy import EndpointPolicy
from notifier.worker.endpoints.stragglers import Stragglers
from notifier.worker.in_flight import InFlight
from notifier.worker.policy import Policy
from notifier.worker.rates.adaptive import AdaptiveLimits
from notifier.worker.rates.limit_watch import LimitWatch
from notifier.worker.rates.provider_health import ProviderPolicy
from notifier.worker.rates.rate_limits import RateLimits
from notifier.worker.rates.relay_health import RelayPolicy
from notifier.worker.rates.throttles import sift


def build_worker(app: Celery, node: str) -> WorkerParts:
    """Everything a worker process holds; connects to nothing but Redis, to check it."""
    ours = settings()
    warn_of_mail_settings(ours)
    store = build_store(ours, connections=32)
    wait_for_storage(ours, store)
    ledger = build_ledger(ours, store)
    stores = build_stores(ours, store, ledger)
    # Events were checked before anything was planned of them; the checker would be 3 MiB of the process.
    content = build_content(ours, rules_only=True, check_url=build_guard(ours).check_url)
    warn_of_channels(content.current.catalog.providers.values(), channel_settings())
    engine, recorder, publisher = Engine(), Recorder(ledger), TaskPublisher(app)
    rates = RateWatch(time.time)
    channels = build_channels(ours, rates)
    warn_of_senders(channels.email, content.current.catalog.rules)
    channels.http_api.look_at(content.current.catalog.providers.values())
    # New at every start: a container's pid and host name may be those of the process that was just killed.
    owner = f"{node}/{secrets.token_hex(4)}"
    longest = max(channel.longest_send for channel in channels.all.values())
    sender = Sender(engine, recorder, worker=owner, longest_send=longest)
    follow_ups = FollowUps(stores, publisher, kept_most=ours.endpoint_held_max)
    breakers, held = Breakers(store), HeldIndex(store)
    held_deliveries = HeldDeliveries(app, ledger=ledger, endpoints=stores.endpoints, breakers=breakers, index=held)
    digests, limits = Digests(store, Cipher(ours.secret_key)), Limits(store)
    watch = LimitWatch(limits, parse_limits(ours.limits)[0])
    in_flight = InFlight(ours.worker_in_flight)
    endpoint_policy = EndpointPolicy(
        gate=Gate(stores.endpoints, breakers, channels.webhook, ours.webhook_timeout),
        delay_buffer=DelayBuffer(ledger, held, publisher, most=ours.endpoint_held_max),
        health=EndpointHealth(breakers, held, disable_after=ours.endpoint_disable_after),
        stragglers=Stragglers(in_flight),
        follow_ups=follow_ups,
        publisher=publisher,
        in_flight=in_flight,
        longest_exchange=ours.webhook_timeout,
    )
    board = RelayBoard(store)
    adaptive = AdaptiveLimits(rates, AdaptiveRates(store), limits, lambda: watch.table)
    policies: dict[WorkKind, Policy] = {
        **{channel: Policy(publisher) for channel in channels.all},
        Channel.EMAIL: RelayPolicy(channels.email, publisher, board, owner, adaptive),
        Channel.WEBHOOK: endpoint_policy,
        Channel.HTTP_API: ProviderPolicy(channels.http_api, publisher, board, owner),
    }

    def close() -> None:
        watch.stop()
        store.close()

    dispatch = Dispatch(
        content=content,
        stores=stores,
        channels=channels.all,
        policies=policies,
        sender=sender,
        recorder=recorder,
        follow_ups=follow_ups,
        sift=partial(sift, Throttles(store), digests),
        rate_limits=RateLimits(limits, watch, pool=ours.worker_concurrency),
        in_flight=in_flight,
        publisher=publisher,
        owner=owner,
    )
    collector = Collector(content=content, stores=stores, digests=digests, publisher=publisher, owner=owner)
    checks = WorkerChecks(store, engine)
    admission = Admission(int(ours.worker_in_flight * SHARED))
    return WorkerParts(
        admission=admission,
        coalescer=Coalescer(admission),
        dispatch=dispatch,
        collector=collector,
        policies=policies,
        held=held_deliveries,
        recorder=recorder,
        engine=engine,
        ledger=ledger,
        owner=owner,
        signs=SignsOfLife(connect_async(ours.redis_url, ca_file=ours.redis_ca_file, connections=1), owner),
        grace=ours.grace,
        one_cpu=ours.worker_one_cpu,
        health=HealthServer(checks, ours.http_host, ours.http_port, checks.alive),
        connected=checks.connected,
        channels=channels.all,
        close=close,
    )


class WorkerChecks:
    """Whether this worker can deliver, in words (`health.Checks`)."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine
        self._consumer: Any = None

    def connected(self, consumer: Any) -> None:
        """Celery's consumer has connected; later it says itself whether it still is."""
        self._consumer = consumer

    def ready(self) -> dict[str, str | None]:
        """Dependency → reason why it is not ready, or None."""
        connected = getattr(self._consumer, "connection", None) is not None
        return {
            "redis": self._store.reachable(),
            "broker": None if connected else "not connected to the broker",
            "publishing": ALARM.reason,
            "engine": self.alive(),
        }

    def alive(self) -> str | None:
        """A reason to restart this process, or None."""
        return None if self._engine.alive else "the engine's loop has stopped turning"
