"""From settings to the API's services: `wiring` makes the parts, this module says which of them the API is made of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from fastapi import FastAPI

from notifier import wiring
from notifier.api.access import Tokens
from notifier.api.app import Services, create_app
from notifier.api.events import Intake
from notifier.api.intake import BrokerIntake
from notifier.channels.email.unsubscribe import UnsubscribeLinks
from notifier.client.publisher import Publisher
from notifier.domain.event import Event
from notifier.rules.content import Content
from notifier.rules.live import Live
from notifier.settings import Settings, split_list
from notifier.storage.store import Store


class ClosingIntake(Intake, Protocol):
    """An intake that holds connections."""

    def ready(self) -> str | None:
        """Why nothing can be taken in, or None."""
        ...

    def close(self) -> None:
        """Let go of them, after what is on its way has arrived."""
        ...


@dataclass(frozen=True, slots=True)
class ApiChecks:
    """Whether this process can take events in and answer questions (`health.Checks`)."""

    store: Store
    intake: ClosingIntake
    content: Live[Content]

    def ready(self) -> dict[str, str | None]:
        """Broken new rule files are no reason: the last good ones are in use, and `/metrics` tells of it."""
        return {"redis": self.store.reachable(), "intake": self.intake.ready()}


def build_intake(ours: Settings, content: Live[Content], store: Store) -> ClosingIntake:
    """RabbitMQ; in embedded mode the API plans events itself."""
    if ours.embedded:
        return wiring.build_direct_intake(ours, content, store)
    return broker_intake(ours, "notifier api")


def broker_intake(ours: Settings, name: str) -> BrokerIntake:
    """Events to RabbitMQ; ``name`` shows in its management page."""
    return BrokerIntake(Publisher(ours.broker_url, ca_file=ours.broker_ca_file, name=name), ours.broker_url)


def build_api(ours: Settings) -> tuple[FastAPI, Callable[[], None]]:
    """The application and what closes its connections. Raises `ConfigurationError`; waits a while for Redis."""
    with ExitStack() as opened:
        store = wiring.build_store(ours, connections=48)
        opened.callback(store.close)
        wiring.wait_for_storage(ours, store)
        ledger = wiring.build_ledger(ours, store)
        stores = wiring.build_stores(ours, store, ledger)
        content = wiring.build_content(ours)
        intake = build_intake(ours, content, store)
        opened.callback(intake.close)
        guard = wiring.build_guard(ours)
        keys = split_list(ours.secret_key)

        def validate(event: Event) -> None:
            content.current.catalog.validate(event)

        services = Services(
            tokens=Tokens.parse(ours.api_tokens),
            intake=intake,
            validate=validate,
            ledger=ledger,
            endpoints=stores.endpoints,
            checked_url=lambda url: guard.check_url(url).url,
            recipients=stores.recipients,
            operator=wiring.build_operator(ours, wiring.celery_app()),
            suppressions=stores.suppressions,
            links=UnsubscribeLinks(ours.public_url, keys) if keys else None,
            checks=ApiChecks(store, intake, content),
            event_bytes=ours.event_max_bytes,
        )
        return create_app(services), opened.pop_all().close
