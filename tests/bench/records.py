"""Deliveries as the ledger sees them, without anybody sending: to weigh what Redis keeps."""

from collections.abc import Sequence

from notifier.domain.delivery import Attempt, Status
from notifier.storage.ledger import Claimed, Ledger, Record, Registration
from notifier.storage.store import Store
from tests.bench.gauges import redis_bytes
from tests.integration.storage.making import RULE, event, request

#: Deliveries that are claimed and recorded together, as a worker does.
_BATCH = 64
#: A UUID for each event, and a queue's id in each reply: what most sites have.
USUAL = ("0192f0c1-7c1e-7d3a-9b2a-0000000", "250 2.0.0 Ok: queued as 4XyZ")


def weigh(store: Store, ledger: Ledger, count: int, prefix: str, reply: str, *, fails: bool = False) -> float:
    """Bytes of Redis for each of so many events with one delivery, all keys, tables and indexes together."""
    port = int(store.client.connection_pool.connection_kwargs["port"])
    # Histograms of commands' times are 25 kB for each kind of command at its first use, and no event's.
    store.client.config_set("latency-tracking", "no")
    before = redis_bytes(port)
    for start in range(0, count, _BATCH):
        _end(ledger, range(start, start + _BATCH), prefix, reply, fails=fails)
    return (redis_bytes(port) - before) / count


def _end(ledger: Ledger, numbers: Sequence[int], prefix: str, reply: str, *, fails: bool) -> None:
    events = [event(id=f"{prefix}{number:05}", source="/shop/orders") for number in numbers]
    wanted = [request(of, to=f"customer{number}@example.org") for of, number in zip(events, numbers, strict=True)]
    ledger.register([Registration(one.event, ((one.delivery, RULE),)) for one in wanted])
    ledger.planned([of.key for of in events])
    held = ledger.claim(wanted, owner="worker-1", lease=90)
    status = Status.REFUSED if fails else Status.SENT
    said = [f"{reply}{number:05}" if "queued" in reply else reply for number in numbers]
    tried = [Attempt(1, 1_800_000_000.0, 0.17, str(status), "smtp_250", text, "celery@host/1") for text in said]
    records = [
        Record(one.delivery.id, found.fence, status, "", attempt, template="a1b2c3d4e5f6", claimed=one)
        for one, found, attempt in zip(wanted, held, tried, strict=True)
        if isinstance(found, Claimed)
    ]
    if ledger.record(records) != [True] * len(numbers):
        raise AssertionError("not every record was ours to write")
