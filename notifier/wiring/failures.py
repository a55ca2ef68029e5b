"""Failure queues for people: the command line and the API."""

from __future__ import annotations

from notifier.failures.held import HeldDeliveries
from notifier.failures.operator import Operator
from notifier.settings import Settings
from notifier.storage.breakers import Breakers
from notifier.storage.held import HeldIndex
from notifier.storage.parked import ParkedIndex
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from notifier.wiring.stores import build_endpoints, build_ledger, build_recipients, build_store


def build_held(ours: Settings, store: Store | None = None) -> HeldDeliveries:
    """Held deliveries for people: the CLI and the API."""
    from notifier.celery import app

    store = store or build_store(ours)
    return HeldDeliveries(
        app,
        ledger=build_ledger(ours, store),
        endpoints=build_endpoints(ours, store),
        breakers=Breakers(store),
        index=HeldIndex(store),
    )


def build_operator(ours: Settings, store: Store | None = None) -> Operator:
    """Failure queues for people: the CLI and the API."""
    from notifier.celery import app

    store = store or build_store(ours)
    recipients = build_recipients(ours, store)
    return Operator(app, build_ledger(ours, store), ParkedIndex(store), Suppressions(store), recipients)
