"""Forgetting people: the command line and the API."""

from __future__ import annotations

from notifier.forgetting import Forgetting
from notifier.settings import Settings
from notifier.storage.cipher import Cipher
from notifier.storage.forgetting import Traces
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from notifier.wiring.failures import build_operator
from notifier.wiring.history import FORGET_S, build_reader
from notifier.wiring.stores import build_recipients, build_retention, build_store


def build_forgetting(ours: Settings, store: Store | None = None) -> Forgetting:
    """Everything that may know a person."""
    store = store or build_store(ours)
    return Forgetting(
        Traces(store, Cipher(ours.secret_key), retention=build_retention(ours)),
        build_recipients(ours, store),
        Suppressions(store),
        build_operator(ours, store),
        build_reader(ours, seconds=FORGET_S),
    )
