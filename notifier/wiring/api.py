"""The HTTP API."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI

from notifier.api.access import Tokens
from notifier.api.app import Services, create_app
from notifier.api.events import Intake
from notifier.api.pressure import AdmittingIntake
from notifier.domain.event import Event
from notifier.domain.fairness import TenantShares
from notifier.domain.rule import queue_name
from notifier.rules.content import Content
from notifier.rules.live import Live
from notifier.settings import Settings
from notifier.storage.ledger import Ledger
from notifier.storage.pressure import full_queues
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from notifier.wiring.content import build_content
from notifier.wiring.edges import build_guard, build_links, header_names
from notifier.wiring.failures import build_held, build_operator
from notifier.wiring.history import build_lookup
from notifier.wiring.intake import build_broker_intake
from notifier.wiring.limits import build_limit_board
from notifier.wiring.people import build_forgetting
from notifier.wiring.stores import (
    build_directory,
    build_endpoints,
    build_ledger,
    build_recipients,
    build_store,
    wait_for_storage,
)


def build_api(ours: Settings) -> tuple[FastAPI, Callable[[], None]]:
    """The API and how to close what it holds."""
    services, close = build_services(ours)
    return create_app(services), close


def build_services(ours: Settings) -> tuple[Services, Callable[[], None]]:
    """What the API is built on, and how to close it."""
    store = build_store(ours)
    wait_for_storage(ours, store)
    ledger, content, guard = build_ledger(ours, store), build_content(ours), build_guard(ours)
    intake, broker_ready, close_intake = _build_intake(ours, store, ledger, content)
    services = Services(
        tokens=Tokens.parse(ours.api_tokens),
        intake=intake,
        validate=lambda event: content.current.catalog.validate(event),  # noqa: PLW0108 - the newest catalog
        lookup=build_lookup(ours, ledger),
        endpoints=build_endpoints(ours, store),
        held=build_held(ours, store),
        checked_url=lambda url: guard.check_url(url).url,
        header_names=header_names(ours),
        recipients=build_recipients(ours, store),
        operator=build_operator(ours, store),
        limits=build_limit_board(ours, store, lambda: content.current.catalog.rules),
        suppressions=Suppressions(store),
        links=build_links(ours),
        checks=ApiChecks(store, broker_ready),
        event_bytes=ours.event_max_bytes,
        forgetting=build_forgetting(ours, store),
    )

    def close() -> None:
        close_intake()
        store.close()

    return services, close


@dataclass(frozen=True, slots=True)
class ApiChecks:
    """Whether the API can take events and answer questions (`health.Checks`)."""

    store: Store
    broker: Callable[[], dict[str, str | None]]

    def ready(self) -> dict[str, str | None]:
        """Dependency → reason why it is not ready, or None."""
        return {"redis": self.store.reachable(), **self.broker()}


def _build_intake(
    ours: Settings, store: Store, ledger: Ledger, content: Live[Content]
) -> tuple[Intake, Callable[[], dict[str, str | None]], Callable[[], None]]:
    """Where the API's events go: to RabbitMQ, or in embedded mode through the planner in this process."""
    if ours.embedded:
        # Loads gevent, which this process must not have otherwise.
        from notifier.broker.publisher import TaskPublisher
        from notifier.celery import app
        from notifier.worker.celery_side.embedded import EmbeddedIntake

        embedded = EmbeddedIntake(content, build_directory(ours, store), ledger, TaskPublisher(app))
        return embedded, dict, lambda: None
    # A caller of ours can be told to come back, so nobody waits here for an alarm to end.
    intake = build_broker_intake(ours, "notifier api", waits_for_alarms=False)
    intake.connect()
    # Its own count of who is crowded, as each consumer has: a tenant that floods is told so, its neighbours are not.
    shares = TenantShares(time.monotonic, burst=ours.tenant_burst, rate=ours.tenant_rate)

    def queues_of(event: Event) -> set[str]:
        rules = {compiled.rule for compiled in content.current.catalog.matching(event.type)}
        return {queue_name(r.kind, r.priority, shares.shard(r.kind, r.priority, event.tenant)) for r in rules}

    admitting = AdmittingIntake(intake, lambda: store.run(full_queues()), queues_of)
    return admitting, lambda: {"broker": intake.ready(), "publishing": intake.blocked()}, intake.close
