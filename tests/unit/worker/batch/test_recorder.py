"""The recorder on a real Redis: outcomes of many batches in few round trips, stale ones told, none lost at the stop."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from notifier.domain.delivery import Attempt, Status
from notifier.storage.connection import connect
from notifier.storage.ledger import Claimed, Ledger, Record
from notifier.storage.store import Store
from notifier.worker.batch.recorder import Receipt, Recorder
from tests.integration.storage.making import claim, event, request


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    made = connect(redis_url)
    yield made
    made.close()


class Counted:
    """The ledger, and how many records each call carried."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.sizes: list[int] = []

    def record(self, records: Sequence[Record]) -> list[bool]:
        self.sizes.append(len(records))
        return self._ledger.record(records)

    def mark_leaving(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        return self._ledger.mark_leaving(held)


def claimed(ledger: Ledger, count: int) -> list[tuple[str, Claimed]]:
    wanted = [request(event(number)) for number in range(count)]
    return [(one.delivery.id, claim(ledger, one)) for one in wanted]


def sent(identity: str, fence: int) -> Record:
    return Record(identity, fence, Status.SENT, "", Attempt(1, 1.0, 0.1, "sent", "smtp_250", "ok", "w"))


def test_outcomes_from_other_threads_are_written_together_and_every_batch_is_told(store: Store) -> None:
    # Given claims of ten batches
    ledger = Counted(Ledger(store))
    held = claimed(Ledger(store), 100)
    recorder = Recorder(ledger)
    receipts = [Receipt(10) for _ in range(10)]

    # When another thread hands in all outcomes, as the engine's loop does
    def hand_in() -> None:
        for place, (identity, found) in enumerate(held):
            recorder.submit(sent(identity, found.fence), receipts[place % 10])

    thread = threading.Thread(target=hand_in)
    thread.start()
    for receipt in receipts:
        receipt.wait()
    thread.join()

    # Then all are in the ledger, in far fewer calls than records
    records = Ledger(store).deliveries([identity for identity, _ in held])
    assert {record.status for record in records if record} == {Status.SENT}
    assert sum(ledger.sizes) == 100
    assert len(ledger.sizes) < 50
    assert not any(receipt.stale for receipt in receipts)
    recorder.stop()


def test_an_outcome_of_a_claim_that_was_taken_over_is_told_as_stale(store: Store) -> None:
    # Given a delivery that another worker has claimed since
    ledger = Ledger(store)
    ((identity, first),) = claimed(ledger, 1)
    ledger.farewell("worker-1")
    second = claim(ledger, request(event(0)), owner="worker-2")
    recorder, receipt = Recorder(ledger), Receipt(1)

    # When the first one's refusal is recorded
    recorder.submit(Record(identity, first.fence, Status.REFUSED, "no"), receipt)
    receipt.wait()

    # Then the batch hears that it stands no longer, and the record is the second one's
    assert receipt.stale == {identity}
    assert second.fence > first.fence
    (record,) = ledger.deliveries([identity])
    assert record is not None
    assert record.status is Status.SENDING
    recorder.stop()


def test_stopping_writes_what_is_queued(store: Store) -> None:
    ledger = Ledger(store)
    ((identity, found),) = claimed(ledger, 1)
    recorder = Recorder(ledger)

    recorder.submit(sent(identity, found.fence), Receipt(1))
    recorder.stop()

    (record,) = ledger.deliveries([identity])
    assert record is not None
    assert record.status is Status.SENT


def test_a_mark_says_whether_the_claim_still_holds(store: Store) -> None:
    ledger = Ledger(store)
    ((identity, found),) = claimed(ledger, 1)
    recorder, told = Recorder(ledger), []

    recorder.mark(identity, found.fence, told.append)
    recorder.mark(identity, found.fence - 1, told.append)
    recorder.stop()

    assert told == [True, False]


def test_a_batch_of_nothing_waits_for_nothing() -> None:
    Receipt(0).wait()
