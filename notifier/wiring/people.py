"""Forgetting people: the command line and the API."""

from __future__ import annotations

from notifier.forgetting import Forgetting
from notifier.settings import Settings
from notifier.storage.cipher import Cipher
from notifier.storage.forgetting import Traces
from notifier.storage.ledger import Retention
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from notifier.wiring.failures import build_operator
from notifier.wiring.stores import build_recipients, build_store


def build_forgetting(ours: Settings, store: Store | None = None) -> Forgetting:
    """Everything that may know a person."""
    store = store or build_store(ours)
    return Forgetting(
        Traces(store, Cipher(ours.secret_key), retention=Retention(ours.retention_sent, ours.retention_failed)),
        build_recipients(ours, store),
        Suppressions(store),
        build_operator(ours, store),
    )
