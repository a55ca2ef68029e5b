"""Whatever ends a task's body leaves it as success or as Celery's `Reject`: nothing else acknowledges or returns."""

import asyncio

import gevent
import greenlet
import pytest
from celery.exceptions import Reject

from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.event import Event
from notifier.domain.rule import Channel, Priority
from notifier.domain.waiting import RawBatch
from notifier.errors import BrokerUnavailable, InvalidBatch, PublishRejected, StorageUnavailable
from notifier.worker.admission import Admission, Turn
from notifier.worker.celery_side.coalescer import Coalescer
from notifier.worker.celery_side.guard import run_guarded

BATCH = Batch(
    channel=Channel.EMAIL,
    priority=Priority.NORMAL,
    events=[Event(id="1", source="/tests", type="a.b")],
    deliveries=[Delivery(id="dlv_1", event=0, rule="a.b/mail", to=Mailbox(address="a@example.org"))],
)


def read(batch: RawBatch, _: Turn) -> None:
    """What every task does with its batch."""
    batch.decode()


def test_a_batch_that_runs_to_its_end_is_acknowledged_by_returning() -> None:
    ran: list[Batch] = []

    run_guarded(lambda batch, _: ran.append(batch.decode()), BATCH.encode(), Coalescer(Admission(100)))

    assert ran == [BATCH]


@pytest.mark.parametrize(
    ("error", "requeue"),
    [
        (InvalidBatch("x"), False),
        (StorageUnavailable("x"), True),
        (BrokerUnavailable("x"), True),
        (PublishRejected("x"), True),
        (ValueError("x"), True),
        (RecursionError(), True),
        (MemoryError(), True),
        (SystemExit(1), True),
        (KeyboardInterrupt(), True),
        (asyncio.CancelledError(), True),
        (gevent.Timeout(1), True),
        (greenlet.GreenletExit(), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_every_exception_becomes_a_reject(error: BaseException, requeue: bool) -> None:
    # Given a batch that ends in an exception of any kind
    def run(*_: object) -> None:
        raise error

    # When it is run
    with pytest.raises(Reject) as rejected:
        run_guarded(run, BATCH.encode(), Coalescer(Admission(100)))

    # Then the broker gets it back, or dead-letters what nobody can read
    assert rejected.value.requeue is requeue


@pytest.mark.parametrize("wire", [None, 7, "x", [], {}, {"v": 1}, {"v": 2, "events": []}, {"events": [{}]}])
def test_what_is_no_batch_is_dead_lettered(wire: object) -> None:
    with pytest.raises(Reject) as rejected:
        run_guarded(read, wire, Coalescer(Admission(100)))

    assert rejected.value.requeue is False


def test_a_reject_never_carries_an_endless_text() -> None:
    def run(*_: object) -> None:
        raise ValueError("x" * 100_000)

    with pytest.raises(Reject) as rejected:
        run_guarded(run, BATCH.encode(), Coalescer(Admission(100)))

    assert len(str(rejected.value.reason)) <= 200


def test_a_batch_that_had_not_begun_when_the_worker_stops_is_handed_back() -> None:
    # Given a worker that is stopping
    admission, ran = Admission(100), list[Batch]()
    admission.close()

    # When a batch would begin
    with pytest.raises(Reject) as rejected:
        run_guarded(lambda batch, _: ran.append(batch.decode()), BATCH.encode(), Coalescer(admission))

    # Then another worker gets it
    assert rejected.value.requeue is True
    assert ran == []
