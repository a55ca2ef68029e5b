"""Redis and what is kept in it, for threads and greenlets."""

from __future__ import annotations

import logging
import time

from notifier.errors import ConfigurationError, Unavailable
from notifier.logs import get, wide
from notifier.settings import Settings
from notifier.storage.cipher import Cipher
from notifier.storage.connection import check, connect
from notifier.storage.directory import SyncEndpointDirectory
from notifier.storage.endpoints import Endpoints
from notifier.storage.ledger import Ledger, Retention
from notifier.storage.parked import ParkedIndex
from notifier.storage.recipients import Recipients
from notifier.storage.store import Store
from notifier.storage.stores import Stores
from notifier.storage.suppressions import Suppressions

_log = get("start")


def build_store(ours: Settings, *, connections: int = 16) -> Store:
    """Redis for threads and greenlets."""
    return connect(ours.redis_url, ca_file=ours.redis_ca_file, connections=connections)


def check_storage(ours: Settings, store: Store) -> None:
    """Refuse a Redis that would lose state of record. Raises `ConfigurationError`, or `Unavailable` when it is away."""
    found = check(store)
    if found.problems and ours.redis_check:
        raise ConfigurationError(found.problems)
    for problem in (*found.problems, *found.warnings):
        wide(_log, "redis.unsafe", level=logging.WARNING, server=found.version, problem=str(problem))


def wait_for_storage(ours: Settings, store: Store) -> None:
    """Check Redis, trying again while it is away: a deployment starts its parts in any order."""
    for pause in (0.5, 1, 2, 4, 8):
        try:
            return check_storage(ours, store)
        except Unavailable as error:
            wide(_log, "redis.away", error=str(error), again_in_s=pause)
            time.sleep(pause)
    return check_storage(ours, store)


def build_ledger(ours: Settings, store: Store | None = None) -> Ledger:
    """The ledger with the deployer's retention."""
    return Ledger(store or build_store(ours), build_retention(ours))


def build_retention(ours: Settings) -> Retention:
    """How long records stay, and how much that ended may wait for the history, if there is one."""
    most = ours.history_backlog if ours.history_url else 0
    return Retention(ours.retention_sent, ours.retention_failed, history_most=most)


def build_directory(ours: Settings, store: Store | None = None) -> SyncEndpointDirectory:
    """Which endpoints want what, for planning outside the consumer."""
    return SyncEndpointDirectory(store or build_store(ours))


def build_endpoints(ours: Settings, store: Store | None = None) -> Endpoints:
    """Registered webhooks, their secrets encrypted with NOTIFIER_SECRET_KEY."""
    return Endpoints(store or build_store(ours), Cipher(ours.secret_key))


def build_recipients(ours: Settings, store: Store | None = None) -> Recipients:
    """People known by id, encrypted likewise."""
    return Recipients(store or build_store(ours), Cipher(ours.secret_key))


def build_stores(ours: Settings, store: Store, ledger: Ledger) -> Stores:
    """The parts of Redis a worker uses."""
    endpoints, recipients = build_endpoints(ours, store), build_recipients(ours, store)
    return Stores(ledger, endpoints, recipients, Suppressions(store), ParkedIndex(store))
