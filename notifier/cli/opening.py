"""What verbs work on: parts of the service as `wiring` builds them, closed again when the verb ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from notifier.cli.stopping import Stopping
    from notifier.failures.held import HeldDeliveries
    from notifier.failures.operator import Operator
    from notifier.storage.directory import SyncEndpointDirectory
    from notifier.storage.ledger import Ledger
    from notifier.storage.limits import Limits
    from notifier.storage.relays import RelayBoard
    from notifier.worker.claiming import Stores


@contextmanager
def opened_ledger() -> Iterator[Ledger]:
    """The ledger."""
    from notifier.wiring.process import settings
    from notifier.wiring.stores import build_ledger, build_store

    ours = settings()
    store = build_store(ours, connections=2)
    try:
        yield build_ledger(ours, store)
    finally:
        store.close()


@contextmanager
def opened_stores() -> Iterator[Stores]:
    """Endpoints, recipients and the rest of what is kept in Redis."""
    from notifier.wiring.process import settings
    from notifier.wiring.stores import build_ledger, build_store, build_stores

    ours = settings()
    store = build_store(ours, connections=2)
    try:
        yield build_stores(ours, store, build_ledger(ours, store))
    finally:
        store.close()


@contextmanager
def opened_directory() -> Iterator[tuple[SyncEndpointDirectory, Stopping]]:
    """Which endpoints subscribed to what, and who is not written to."""
    from notifier.cli.stopping import Stopping
    from notifier.storage.directory import SyncEndpointDirectory
    from notifier.storage.suppressions import Suppressions
    from notifier.wiring.process import settings
    from notifier.wiring.stores import build_recipients, build_store

    ours = settings()
    store = build_store(ours, connections=2)
    try:
        yield SyncEndpointDirectory(store), Stopping(Suppressions(store), build_recipients(ours, store))
    finally:
        store.close()


@contextmanager
def opened_relays() -> Iterator[tuple[list[str], RelayBoard, Limits]]:
    """The relays' names in order, what workers noted about them, and how fast they are used."""
    from notifier.engine.smtp_connect import RelayAddress
    from notifier.settings import split_list
    from notifier.storage.limits import Limits
    from notifier.storage.relays import RelayBoard
    from notifier.wiring.process import settings
    from notifier.wiring.stores import build_store

    ours = settings()
    store = build_store(ours, connections=2)
    try:
        names = [RelayAddress.parse(url).name for url in split_list(ours.smtp_url)]
        yield names, RelayBoard(store), Limits(store)
    finally:
        store.close()


def opened_held() -> HeldDeliveries:
    """Held deliveries; its connections end with the process."""
    from notifier.wiring.failures import build_held
    from notifier.wiring.process import settings

    return build_held(settings())


def opened_operator() -> Operator:
    """Failure queues; its connections end with the process."""
    from notifier.wiring.failures import build_operator
    from notifier.wiring.process import settings

    return build_operator(settings())
