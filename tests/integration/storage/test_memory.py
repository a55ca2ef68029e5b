"""What an event costs in Redis: the figure in `notifier.storage.packs` and in the sizing page."""

import pytest

from notifier.domain.delivery import Attempt, Status
from notifier.storage.ledger import Claimed, Ledger, Record, Registration
from notifier.storage.store import Store
from tests.bench.gauges import redis_bytes
from tests.integration.storage.making import RULE, event, request

#: So many that tables of Redis, which double, and buckets, which fill, are shared by enough.
EVENTS, BATCH = 16_000, 64


@pytest.mark.parametrize(
    ("prefix", "reply", "most"),
    [
        # As `make bench` sends them.
        ("run1-", "250 2.0.0 Ok", 300),
        # A UUID for each event, and the queue's id in each reply.
        ("0192f0c1-7c1e-7d3a-9b2a-0000000", "250 2.0.0 Ok: queued as 4XyZ", 350),
    ],
)
def test_an_event_with_one_sent_delivery_costs_at_most_300_bytes(
    ledger: Ledger, store: Store, prefix: str, reply: str, most: int
) -> None:
    # Given a server that keeps no histogram of commands' times, 25 kB for each kind of command at its first use
    store.client.config_set("latency-tracking", "no")
    # And events, each sent to somebody else
    before = redis_bytes(_port(store))
    for start in range(0, EVENTS, BATCH):
        _send(ledger, range(start, start + BATCH), prefix, reply)
    # Then all keys, tables and indexes of Redis together grew by less than that for each
    used = (redis_bytes(_port(store)) - before) / EVENTS
    assert used <= most


def _send(ledger: Ledger, numbers: range, prefix: str, reply: str) -> None:
    events = [event(id=f"{prefix}{number:05}", source="/shop/orders") for number in numbers]
    wanted = [request(of, to=f"customer{number}@example.org") for of, number in zip(events, numbers, strict=True)]
    ledger.register([Registration(one.event, ((one.delivery, RULE),)) for one in wanted])
    ledger.planned([of.key for of in events])
    held = ledger.claim(wanted, owner="worker-1", lease=90)
    said = [f"{reply}{number:05}" if "queued" in reply else reply for number in numbers]
    tried = [Attempt(1, 1_800_000_000.0, 0.17, "sent", "smtp_250", text, "celery@host/1") for text in said]
    records = [
        Record(one.delivery.id, found.fence, Status.SENT, "", attempt, template="a1b2c3d4e5f6", claimed=one)
        for one, found, attempt in zip(wanted, held, tried, strict=True)
        if isinstance(found, Claimed)
    ]
    assert ledger.record(records) == [True] * len(numbers)


def _port(store: Store) -> int:
    return int(store.client.connection_pool.connection_kwargs["port"])
