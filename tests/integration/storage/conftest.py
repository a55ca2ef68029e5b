"""A store on an empty Redis, and a clock that stands still."""

from collections.abc import Iterator

import pytest

from notifier.storage.connection import connect
from notifier.storage.ledger import Ledger
from notifier.storage.store import Store
from tests.integration.storage.making import Clock


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    made = connect(redis_url)
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(store: Store, clock: Clock) -> Ledger:
    return Ledger(store, clock=clock)
