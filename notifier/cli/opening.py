"""What verbs work on: parts of the service as `wiring` builds them, closed again when the verb ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from notifier.cli.foreseeing import Foresight
    from notifier.failures.held import HeldDeliveries
    from notifier.failures.operator import Operator
    from notifier.history.lookup import Lookup
    from notifier.settings import Settings
    from notifier.storage.directory import SyncEndpointDirectory
    from notifier.storage.ledger import Ledger
    from notifier.storage.limits import Limits
    from notifier.storage.relays import RelayBoard
    from notifier.storage.stores import Stores


@contextmanager
def opened_stores() -> Iterator[Stores]:
    """Endpoints, recipients and the rest of what is kept in Redis."""
    from notifier.process import settings
    from notifier.wiring.stores import build_ledger, build_store, build_stores

    ours = settings()
    store = build_store(ours, connections=2)
    try:
        yield build_stores(ours, store, build_ledger(ours, store))
    finally:
        store.close()


@contextmanager
def opened_lookup(ledger: Ledger) -> Iterator[Lookup]:
    """What became of something, in Redis or in the history."""
    from notifier.history.lookup import Lookup
    from notifier.process import settings
    from notifier.wiring.history import build_reader

    reader = build_reader(settings())
    try:
        yield Lookup(ledger, reader)
    finally:
        if reader is not None:
            reader.close()


@contextmanager
def opened_directory() -> Iterator[tuple[SyncEndpointDirectory, Foresight]]:
    """Which endpoints subscribed to what, and what would stop or delay a delivery."""
    from notifier.cli.foreseeing import Foresight
    from notifier.domain.limit import parse_limits
    from notifier.process import settings
    from notifier.storage.directory import SyncEndpointDirectory
    from notifier.storage.held import HeldIndex
    from notifier.storage.limits import Limits
    from notifier.storage.parked import ParkedIndex
    from notifier.storage.relays import RelayBoard
    from notifier.storage.suppressions import Suppressions
    from notifier.storage.throttles import Throttles
    from notifier.wiring.stores import build_endpoints, build_recipients, build_store

    ours = settings()
    store = build_store(ours, connections=2)

    def relay() -> str:
        """The first that no worker has paused; the first of all while none is up."""
        names, paused = relay_names(ours), {one.relay for one in RelayBoard(store).paused()}
        return next((name for name in names if name not in paused), names[0])

    try:
        yield (
            SyncEndpointDirectory(store),
            Foresight(
                suppressions=Suppressions(store),
                recipients=build_recipients(ours, store),
                endpoints=build_endpoints(ours, store),
                throttles=Throttles(store),
                limits=Limits(store),
                configured=parse_limits(ours.limits)[0],
                relay=cache(relay),
                held=HeldIndex(store),
                parked=ParkedIndex(store),
                kept_most=ours.endpoint_held_max,
            ),
        )
    finally:
        store.close()


@contextmanager
def opened_relays() -> Iterator[tuple[list[str], RelayBoard, Limits]]:
    """The relays' names in order, what workers noted about them, and how fast they are used."""
    from notifier.process import settings
    from notifier.storage.limits import Limits
    from notifier.storage.relays import RelayBoard
    from notifier.wiring.stores import build_store

    ours = settings()
    store = build_store(ours, connections=2)
    try:
        yield relay_names(ours), RelayBoard(store), Limits(store)
    finally:
        store.close()


def relay_names(ours: Settings) -> list[str]:
    """The relays of NOTIFIER_SMTP_URL in order, as limits and notes name them."""
    from notifier.engine.smtp_connect import RelayAddress
    from notifier.settings import split_list

    return [RelayAddress.parse(url).name for url in split_list(ours.smtp_url)]


def opened_held() -> HeldDeliveries:
    """Held deliveries; its connections end with the process."""
    from notifier.process import settings
    from notifier.wiring.failures import build_held

    return build_held(settings())


def opened_operator() -> Operator:
    """Failure queues; its connections end with the process."""
    from notifier.process import settings
    from notifier.wiring.failures import build_operator

    return build_operator(settings())
