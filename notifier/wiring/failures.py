"""Failure queues for people: the command line and the API."""

from __future__ import annotations

from notifier.failures.operator import Operator
from notifier.settings import Settings
from notifier.storage.parked import ParkedIndex
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from notifier.wiring.process import celery_app
from notifier.wiring.stores import build_ledger, build_store


def build_operator(ours: Settings, store: Store | None = None) -> Operator:
    """Failure queues for people: the CLI and the API."""
    store = store or build_store(ours)
    return Operator(celery_app(), build_ledger(ours, store), ParkedIndex(store), Suppressions(store))
