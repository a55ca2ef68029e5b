"""What an event costs in Redis: the figure in `notifier.storage.packs` and in the sizing page."""

import pytest

from notifier.storage.ledger import Ledger
from notifier.storage.store import Store
from tests.bench.records import USUAL, weigh

#: So many that tables of Redis, which double, and buckets, which fill, are shared by enough.
EVENTS = 16_000


@pytest.mark.usefixtures("redis_server")
@pytest.mark.parametrize(
    ("prefix", "reply", "most"),
    [
        # As `make bench` sends them.
        ("run1-", "250 2.0.0 Ok", 300),
        (*USUAL, 350),
    ],
)
def test_an_event_with_one_sent_delivery_costs_at_most_300_bytes(
    ledger: Ledger, store: Store, prefix: str, reply: str, most: int
) -> None:
    assert weigh(store, ledger, EVENTS, prefix, reply) <= most
