"""The composition root: one builder per process role, and the only place where concrete classes meet.

Imports of a role's libraries stay inside its builder, so that a command loads what it needs: the consumer never imports
gevent, the worker never imports FastAPI.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from notifier.domain.retry import EMAIL_SCHEDULE, WEBHOOK_SCHEDULE, RetrySchedule
from notifier.errors import ConfigurationError, Unavailable
from notifier.logs import configure, get, wide
from notifier.settings import Settings, entries, read_settings, split_list

if TYPE_CHECKING:
    from celery import Celery
    from fastapi import FastAPI

    from consumers.consumer import Consumer
    from notifier.api.events import Intake
    from notifier.api.intake import BrokerIntake
    from notifier.channels.email.channel import EmailChannel
    from notifier.channels.email.unsubscribe import UnsubscribeLinks
    from notifier.channels.webhook.channel import WebhookChannel
    from notifier.channels.webhook.guard import AddressGuard
    from notifier.channels.webhook.transport import WebhookTransport
    from notifier.failures.operator import Operator
    from notifier.rules.content import Content
    from notifier.rules.live import Live
    from notifier.storage.directory import SyncEndpointDirectory
    from notifier.storage.endpoints import Endpoints
    from notifier.storage.ledger import Ledger
    from notifier.storage.recipients import Recipients
    from notifier.storage.store import Store
    from notifier.worker.claiming import Stores
    from notifier.worker.lifecycle import WorkerParts

_log = get("start")


@cache
def settings() -> Settings:
    """The settings of this process, read from its environment once. Raises `SettingsError` naming every mistake."""
    return read_settings(os.environ)


def configure_logs() -> None:
    """Logging as the settings ask, and the masked settings as the first line."""
    ours = settings()
    configure(ours.log_format, ours.log_level)
    chosen = {e.variable: e.value for e in entries(ours, os.environ) if e.origin != "default"}
    wide(_log, "settings.read", settings=chosen)


def schedules(ours: Settings) -> tuple[RetrySchedule, RetrySchedule]:
    """The retry schedules of emails and webhooks."""

    def schedule(text: str, default: RetrySchedule) -> RetrySchedule:
        return RetrySchedule(tuple(float(part) for part in split_list(text))) if text else default

    return schedule(ours.email_retry, EMAIL_SCHEDULE), schedule(ours.webhook_retry, WEBHOOK_SCHEDULE)


def check_storage(ours: Settings, store: Store) -> None:
    """Refuse a Redis that would lose state of record. Raises `ConfigurationError`, or `Unavailable` when it is away."""
    from notifier.storage.connection import check

    found = check(store)
    if found.problems and ours.redis_check:
        raise ConfigurationError(found.problems)
    for problem in (*found.problems, *found.warnings):
        wide(_log, "redis.unsafe", level=logging.WARNING, server=found.version, problem=str(problem))


def build_store(ours: Settings, *, connections: int = 16) -> Store:
    """Redis for threads and greenlets."""
    from notifier.storage.connection import connect

    return connect(ours.redis_url, ca_file=ours.redis_ca_file, connections=connections)


def build_ledger(ours: Settings, store: Store | None = None) -> Ledger:
    """The ledger with the deployer's retention."""
    from notifier.storage.ledger import Ledger, Retention

    return Ledger(store or build_store(ours), Retention(ours.retention_sent, ours.retention_failed))


def build_directory(ours: Settings, store: Store | None = None) -> SyncEndpointDirectory:
    """Which endpoints want what, for planning outside the consumer."""
    from notifier.storage.directory import SyncEndpointDirectory

    return SyncEndpointDirectory(store or build_store(ours))


def build_endpoints(ours: Settings, store: Store | None = None) -> Endpoints:
    """Registered webhooks, their secrets encrypted with NOTIFIER_SECRET_KEY."""
    from notifier.storage.cipher import Cipher
    from notifier.storage.endpoints import Endpoints

    return Endpoints(store or build_store(ours), Cipher(ours.secret_key))


def build_recipients(ours: Settings, store: Store | None = None) -> Recipients:
    """People known by id, encrypted likewise."""
    from notifier.storage.cipher import Cipher
    from notifier.storage.recipients import Recipients

    return Recipients(store or build_store(ours), Cipher(ours.secret_key))


def build_links(ours: Settings) -> UnsubscribeLinks | None:
    """One-click unsubscribe links; None without a public address and a key to sign them."""
    from notifier.channels.email.unsubscribe import UnsubscribeLinks

    keys = split_list(ours.secret_key)
    return UnsubscribeLinks(ours.public_url, keys) if ours.public_url and keys else None


def build_content(ours: Settings) -> Live[Content]:
    """Rules and templates, read again when their files change; broken new files keep the last good ones."""
    from notifier import metrics
    from notifier.rules.content import Content
    from notifier.rules.live import Live

    def reloaded(_: Content) -> None:
        metrics.CONTENT_RELOADS.labels("ok").inc()
        metrics.CONTENT_BROKEN.set(0)
        wide(_log, "content.reloaded", templates=str(ours.templates))

    def broken(error: ConfigurationError) -> None:
        metrics.CONTENT_RELOADS.labels("broken").inc()
        metrics.CONTENT_BROKEN.set(1)
        wide(_log, "content.broken", problems=[str(problem) for problem in error.problems])

    return Live(lambda: Content.load(ours.templates), ours.templates, on_reload=reloaded, on_error=broken)


def build_guard(ours: Settings) -> AddressGuard:
    """Which addresses webhooks may reach."""
    from notifier.channels.webhook.guard import AddressGuard, read_networks

    return AddressGuard(read_networks(ours.webhook_allow), http=ours.webhook_http)


def build_stores(ours: Settings, store: Store, ledger: Ledger) -> Stores:
    """The parts of Redis a worker uses."""
    from notifier.storage.parked import ParkedIndex
    from notifier.storage.suppressions import Suppressions
    from notifier.worker.claiming import Stores

    endpoints, recipients = build_endpoints(ours, store), build_recipients(ours, store)
    return Stores(ledger, endpoints, recipients, Suppressions(store), ParkedIndex(store))


def build_email(ours: Settings) -> EmailChannel:
    """The email channel with its relays, signing key and unsubscribe links."""
    from notifier.channels.email.channel import EmailChannel
    from notifier.channels.email.dkim import DkimSigner
    from notifier.engine.relays import SmtpRelays

    relays = SmtpRelays(
        split_list(ours.smtp_url),
        hostname=ours.email_hostname,
        connections=ours.smtp_connections,
        timeout=ours.send_timeout,
        ca_file=ours.smtp_ca_file,
    )
    dkim = DkimSigner(ours.dkim_domain, ours.dkim_selector, ours.dkim_key) if ours.dkim_domain else None
    return EmailChannel(
        relays, sender=ours.email_from, hostname=ours.email_hostname, unsubscribe=build_links(ours), dkim=dkim
    )


def build_webhook(ours: Settings) -> tuple[WebhookChannel, WebhookTransport]:
    """The webhook channel with its address guard, and its connections."""
    from notifier.channels.webhook.channel import WebhookChannel
    from notifier.channels.webhook.transport import WebhookTransport

    guard = build_guard(ours)
    transport = WebhookTransport(guard, connections=ours.webhook_connections, timeout=ours.webhook_timeout)
    return WebhookChannel(transport, guard), transport


def build_consumer(ours: Settings) -> Consumer:
    """Everything the intake process holds. Connects to nothing yet."""
    import asyncio

    from consumers.consumer import Consumer
    from consumers.intake import Intake, Limits
    from consumers.session import Pace
    from notifier.storage.connection import connect_async
    from notifier.storage.directory import EndpointDirectory
    from notifier.storage.ledger import AsyncLedger, Retention
    from notifier.storage.parked import ParkedIndex

    content = build_content(ours)
    store = connect_async(ours.redis_url, ca_file=ours.redis_ca_file)
    # For the two calls that are rare and exist for threads only: the checks at start and the index of failures.
    threads = build_store(ours, connections=2)
    index = ParkedIndex(threads)
    intake = Intake(
        lambda: content.current.catalog,
        EndpointDirectory(store),
        AsyncLedger(store, Retention(ours.retention_sent, ours.retention_failed)),
        index_parked=lambda entries: asyncio.to_thread(index.add, entries),
        limits=Limits(ours.event_max_bytes, ours.batch_deliveries, ours.batch_bytes),
    )
    return Consumer(
        ours.broker_url,
        intake,
        lambda: asyncio.to_thread(check_storage, ours, threads),
        broker_ca_file=ours.broker_ca_file,
        pace=Pace(ours.intake_prefetch, ours.intake_linger),
        grace=ours.grace,
    )


def build_worker(app: Celery, *, node: str) -> WorkerParts:
    """Everything a worker process holds; connects to nothing but Redis, to check it."""
    import secrets

    from notifier.engine.bridge import Engine
    from notifier.health import HealthServer
    from notifier.storage.cipher import Cipher
    from notifier.storage.digests import Digests
    from notifier.worker.collecting import Collector
    from notifier.worker.consequences import Consequences
    from notifier.worker.dispatch import Dispatch
    from notifier.worker.following import TaskPublisher
    from notifier.worker.lifecycle import WorkerChecks, WorkerParts
    from notifier.worker.preparing import Preparer
    from notifier.worker.recorder import Recorder
    from notifier.worker.resuming import Resuming
    from notifier.worker.sending import Schedules, Sender

    ours = settings()
    store = build_store(ours, connections=32)
    wait_for_storage(ours, store)
    ledger = build_ledger(ours, store)
    stores = build_stores(ours, store, ledger)
    content = build_content(ours)
    engine, recorder, publisher = Engine(), Recorder(ledger), TaskPublisher(app)
    email, (webhook, transport) = build_email(ours), build_webhook(ours)
    # New at every start: a container's pid and host name may be those of the process that was just killed.
    owner = f"{node}/{secrets.token_hex(4)}"
    sender = Sender(
        engine,
        email,
        webhook,
        recorder,
        schedules=Schedules(*schedules(ours)),
        worker=owner,
        longest_send=max(email.longest_send, ours.webhook_timeout),
    )
    resuming = Resuming(stores, publisher)
    dispatch = Dispatch(
        content=content,
        stores=stores,
        preparer=Preparer(email, webhook),
        sender=sender,
        recorder=recorder,
        consequences=Consequences(stores, publisher),
        resuming=resuming,
        owner=owner,
    )
    digests = Digests(store, Cipher(ours.secret_key))
    collector = Collector(
        content=content, stores=stores, digests=digests, publisher=publisher, resuming=resuming, owner=owner
    )
    checks = WorkerChecks(app, store, engine)
    return WorkerParts(
        dispatch=dispatch,
        collector=collector,
        recorder=recorder,
        engine=engine,
        ledger=ledger,
        owner=owner,
        grace=ours.grace,
        health=HealthServer(checks, ours.http_host, ours.http_port, checks.alive),
        checks=checks,
        channels=(email, transport),
        close=store.close,
    )


def build_operator(ours: Settings, store: Store | None = None) -> Operator:
    """Failure queues for people: the CLI and the API."""
    from notifier.failures.operator import Operator
    from notifier.storage.parked import ParkedIndex
    from notifier.storage.suppressions import Suppressions

    store = store or build_store(ours)
    return Operator(celery_app(), build_ledger(ours, store), ParkedIndex(store), Suppressions(store))


def build_api(ours: Settings) -> tuple[FastAPI, Callable[[], None]]:
    """The API and how to close what it holds."""
    from notifier.api.access import Tokens
    from notifier.api.app import Services, create_app
    from notifier.storage.suppressions import Suppressions

    store = build_store(ours)
    wait_for_storage(ours, store)
    ledger, content, guard = build_ledger(ours, store), build_content(ours), build_guard(ours)
    intake, broker_ready, close_intake = _build_intake(ours, store, ledger, content)
    services = Services(
        tokens=Tokens.parse(ours.api_tokens),
        intake=intake,
        validate=lambda event: content.current.catalog.validate(event),  # noqa: PLW0108 - the newest catalog
        ledger=ledger,
        endpoints=build_endpoints(ours, store),
        checked_url=lambda url: guard.check_url(url).url,
        recipients=build_recipients(ours, store),
        operator=build_operator(ours, store),
        suppressions=Suppressions(store),
        links=build_links(ours),
        checks=ApiChecks(store, broker_ready),
        event_bytes=ours.event_max_bytes,
    )

    def close() -> None:
        close_intake()
        store.close()

    return create_app(services), close


@dataclass(frozen=True, slots=True)
class ApiChecks:
    """Whether the API can take events and answer questions (`health.Checks`)."""

    store: Store
    broker: Callable[[], str | None]

    def ready(self) -> dict[str, str | None]:
        """Dependency → reason why it is not ready, or None."""
        return {"redis": self.store.reachable(), "broker": self.broker()}


def _build_intake(
    ours: Settings, store: Store, ledger: Ledger, content: Live[Content]
) -> tuple[Intake, Callable[[], str | None], Callable[[], None]]:
    """Where the API's events go: to RabbitMQ, or in embedded mode through the planner in this process."""
    if ours.embedded:
        from notifier.worker.embedded import EmbeddedIntake
        from notifier.worker.following import TaskPublisher

        embedded = EmbeddedIntake(content, build_directory(ours, store), ledger, TaskPublisher(celery_app()))
        return embedded, lambda: None, lambda: None
    intake = build_broker_intake(ours, "notifier api")
    return intake, intake.ready, intake.close


def build_broker_intake(ours: Settings, name: str) -> BrokerIntake:
    """Events to RabbitMQ with confirms; ``name`` shows in its management page."""
    from notifier.api.intake import BrokerIntake
    from notifier.client.publisher import Publisher

    return BrokerIntake(Publisher(ours.broker_url, ca_file=ours.broker_ca_file, name=name), ours.broker_url)


def celery_app() -> Any:
    """The Celery app, imported when it is needed."""
    from notifier.celery import app

    return app


def node_name(role: str) -> str:
    """``worker-ab12@host``: two workers of one name on a broker lock each other out (RESOURCE_LOCKED)."""
    import secrets

    return f"{role}-{secrets.token_hex(3)}@{socket.gethostname()}"


def wait_for_storage(ours: Settings, store: Store) -> None:
    """Check Redis, trying again while it is away: a deployment starts its parts in any order."""
    import time

    for pause in (0.5, 1, 2, 4, 8):
        try:
            return check_storage(ours, store)
        except Unavailable as error:
            wide(_log, "redis.away", error=str(error), again_in_s=pause)
            time.sleep(pause)
    return check_storage(ours, store)
