"""Deliveries in a failure queue: one of many is replayed, all are, and an endpoint beside others is resumed."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from celery import Celery

from notifier.broker.publisher import TaskPublisher
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, EndpointRef, Status
from notifier.domain.event import Event
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, shelved
from notifier.domain.rule import Channel, Priority
from notifier.domain.topology import HELD_QUEUE, held_shelf
from notifier.failures.operator import Operator
from notifier.storage.claims import claim_request
from notifier.storage.held import HeldDelivery, HeldIndex
from notifier.storage.ledger import Claimed, Ledger, Record
from notifier.storage.parked import ParkedFilter, ParkedIndex
from notifier.wiring.failures import build_held, build_operator
from notifier.wiring.stores import build_endpoints, build_ledger
from tests.bench.scale.curve import Curve
from tests.bench.scale.site import Site, site
from tests.bench.waiting import BenchFailed

_FAILED, _TOGETHER = "failed-webhook", 500
_OTHERS, _HELD = 50, 10


@contextmanager
def _parked(size: int, folder: Path) -> Iterator[Operator]:
    """That many deliveries, each in a message of its own, refused in the ledger and in the index."""
    with site(folder) as here:
        app, ledger = here.app(), build_ledger(here.settings, here.store)
        index = ParkedIndex(here.store)
        batches = [_batch(number, f"ep_{number % _OTHERS}") for number in range(size)]
        parked = [shelved(ParkedBatch(batch, (_entry(batch.deliveries[0], _FAILED),))) for batch in batches]
        for begin in range(0, size, _TOGETHER):
            _refuse(ledger, batches[begin : begin + _TOGETHER])
            index.add([one.parked[0] for one in parked[begin : begin + _TOGETHER]])
        _publish(app, parked)
        yield build_operator(here.settings, here.store)


def _one_replayed(size: int, folder: Path) -> float:
    with _parked(size, folder) as operator:
        began = time.monotonic()
        done = operator.replay(ParkedFilter(ids=(_id(size - 1),))).done
        took = time.monotonic() - began
    _must_be(done, 1)
    return took


def _all_replayed(size: int, folder: Path) -> float:
    with _parked(size, folder) as operator:
        began = time.monotonic()
        done = operator.replay(ParkedFilter(queue=_FAILED)).done
        took = time.monotonic() - began
    _must_be(done, size)
    return size / took


def _all_discarded(size: int, folder: Path) -> float:
    with _parked(size, folder) as operator:
        began = time.monotonic()
        done = operator.discard(ParkedFilter(queue=_FAILED)).done
        took = time.monotonic() - began
    _must_be(done, size)
    return size / took


def _resumed(size: int, folder: Path) -> float:
    """Ten deliveries of one endpoint lie between those of others."""
    with site(folder) as here:
        endpoints = build_endpoints(here.settings, here.store)
        mine = endpoints.add("acme", "https://a.example/").id
        every = size // _HELD
        _hold(here, [_batch(n, mine if n % every == 0 else f"ep_{n % _OTHERS}") for n in range(size)])
        began = time.monotonic()
        _, became = build_held(here.settings, here.store).resume(mine)
        took = time.monotonic() - began
    _must_be(became.delivered, _HELD)
    return took


def _hold(here: Site, batches: list[Batch]) -> None:
    held = [(batch.deliveries[0], _endpoint(batch)) for batch in batches]
    entries = [_entry(one, HELD_QUEUE).at(held_shelf(endpoint)) for one, endpoint in held]
    _publish(here.app(), [ParkedBatch(batch, (entry,)) for batch, entry in zip(batches, entries, strict=True)])
    HeldIndex(here.store).add([HeldDelivery(endpoint, one.id, "kind", one.queued) for one, endpoint in held])


def _publish(app: Celery, messages: list[ParkedBatch]) -> None:
    """As workers do; ten at a time, because each waits for its confirm."""
    publisher = TaskPublisher(app)
    # Alone: Celery reads its settings when it is first used, and threads that do so at once may find none.
    publisher.park(messages[0].parked[0].place, messages.pop(0))
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda message: publisher.park(message.parked[0].place, message), messages))


def _refuse(ledger: Ledger, batches: list[Batch]) -> None:
    requests = [claim_request(batch, batch.deliveries[0]) for batch in batches]
    ledger.heartbeat("bench", 60)
    claims = ledger.claim(requests, owner="bench", lease=60)
    ledger.record(
        [
            Record(request.delivery.id, claim.fence, Status.REFUSED, Cause.REFUSED, claimed=request)
            for request, claim in zip(requests, claims, strict=True)
            if isinstance(claim, Claimed)
        ]
    )


def _batch(number: int, endpoint: str) -> Batch:
    event = Event(id=f"{number}", source="/shop", type="order.shipped", data={"order": number, "note": "x" * 400})
    to = EndpointRef(endpoint=endpoint)
    delivery = Delivery(id=_id(number), event=0, rule="order.shipped/hook", to=to, queued=time.time())
    return Batch(channel=Channel.WEBHOOK, priority=Priority.NORMAL, events=[event], deliveries=[delivery])


def _id(number: int) -> str:
    return f"dlv_{number:026}"


def _endpoint(batch: Batch) -> str:
    to = batch.deliveries[0].to
    assert isinstance(to, EndpointRef)
    return to.endpoint


def _entry(delivery: Delivery, queue: str) -> Parked:
    to = delivery.to
    assert isinstance(to, EndpointRef)
    cause = Cause.HELD if queue == HELD_QUEUE else Cause.REFUSED
    return Parked(delivery.id, queue, cause, "no", time.time(), destination=to.endpoint, rule=delivery.rule)


def _must_be(found: int, wanted: int) -> None:
    if found != wanted:
        raise BenchFailed(f"{found} of {wanted}")


_SIZES = (1_000, 4_000, 16_000)
_LIE = "parked deliveries, each in a message of its own"
CURVES = (
    Curve("replay", f"{_LIE}: all are replayed", "a second", _SIZES, _all_replayed, 4_000, "more"),
    Curve("discard", f"{_LIE}: all are discarded", "a second", _SIZES, _all_discarded, 4_000, "more"),
    Curve("replay-one", f"{_LIE}: the last is replayed alone", "s", _SIZES, _one_replayed, 1.0),
    Curve("resume", "held deliveries, ten of them an endpoint's that is resumed", "s", _SIZES, _resumed, 1.0),
)
