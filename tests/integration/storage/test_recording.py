"""What became of deliveries: every move of the table, fences, repeats and replays."""

import pytest

from notifier.domain.delivery import Status, may_become
from notifier.storage.ledger import Done, Ledger, Record, Retention
from notifier.storage.packs import Packs
from notifier.storage.records import ATTEMPTS_KEPT
from notifier.storage.store import Store
from tests.integration.storage.making import (
    Clock,
    attempt,
    bring_to,
    claim,
    deferred,
    event,
    registration,
    request,
)

IDENTITY = request().delivery.id


@pytest.mark.parametrize("following", [s for s in Status if s is not Status.SENT])
@pytest.mark.parametrize("current", Status)
def test_a_status_moves_only_along_the_table(ledger: Ledger, current: Status, following: Status) -> None:
    # Given a delivery in one status, and the fence of its last claim
    fence = bring_to(ledger, request(), current)
    # When another status is recorded
    (written,) = ledger.record([Record(IDENTITY, fence, following, "why")])
    # Then it is written if the table allows the move, or if it is the same end once more
    (record,) = ledger.deliveries([IDENTITY])
    repeated = current is following and current is not Status.SENDING
    assert written == (may_become(current, following) or repeated)
    assert record
    assert record.status == (following if written else current)


@pytest.mark.parametrize("current", Status)
def test_sent_is_written_whatever_the_status_because_it_is_the_truth(ledger: Ledger, current: Status) -> None:
    fence = bring_to(ledger, request(), current)
    assert ledger.record([Record(IDENTITY, fence, Status.SENT, attempt=attempt())]) == [True]
    assert ledger.claim([request()], owner="worker-2", lease=90) == [Done(Status.SENT)]


def test_the_owner_of_a_lost_claim_may_only_say_sent(ledger: Ledger, clock: Clock) -> None:
    # Given a claim another worker took over
    old = claim(ledger, request())
    clock.now += 91
    new = claim(ledger, request(), owner="worker-2")
    # Then the old owner cannot defer it
    assert ledger.record([Record(IDENTITY, old.fence, Status.DEFERRED, "", deferred())]) == [False]
    # But that it was sent stands, and the new owner cannot change it any more
    assert ledger.record([Record(IDENTITY, old.fence, Status.SENT, "", attempt())]) == [True]
    assert ledger.mark_leaving([(IDENTITY, new.fence)]) == [False]
    assert ledger.record([Record(IDENTITY, new.fence, Status.DEFERRED, "", deferred())]) == [False]
    (record,) = ledger.deliveries([IDENTITY])
    assert record
    assert (record.status, record.tries) == (Status.SENT, 1)


@pytest.mark.parametrize("status", [Status.SENT, Status.DEFERRED, Status.REFUSED])
def test_a_record_written_twice_counts_one_try(ledger: Ledger, clock: Clock, status: Status) -> None:
    # Given an outcome whose reply from Redis was lost
    held = claim(ledger, request())
    entry = Record(IDENTITY, held.fence, status, "", attempt())
    first = ledger.record([entry])
    # When it is written again, later
    clock.now += 5
    again = ledger.record([entry])
    # Then both say yes and one attempt is kept
    (record,) = ledger.deliveries([IDENTITY])
    assert (first, again) == ([True], [True])
    assert record
    assert record.tries == len(record.attempts) == 1


def test_every_try_is_kept_in_order_with_its_template(ledger: Ledger, clock: Clock) -> None:
    # Given two deferred tries and one that was sent
    for number in (1, 2):
        held = claim(ledger, request(attempt=number - 1))
        entry = Record(IDENTITY, held.fence, Status.DEFERRED, "", deferred(number), clock.now + 10, "hash1")
        assert ledger.record([entry]) == [True]
        clock.now += 10
    held = claim(ledger, request(attempt=2))
    assert held.tries == 2
    ledger.record([Record(IDENTITY, held.fence, Status.SENT, "", attempt(3), template="hash2")])
    # Then the record tells the whole story
    (record,) = ledger.deliveries([IDENTITY])
    assert record
    assert record.attempts == (deferred(1), deferred(2), attempt(3))
    assert (record.tries, record.template, record.next_try, record.updated) == (3, "hash2", None, clock.now)


def test_the_oldest_attempts_make_room(ledger: Ledger) -> None:
    # Given more tries than are kept
    for number in range(1, ATTEMPTS_KEPT + 4):
        held = claim(ledger, request(attempt=number - 1))
        ledger.record([Record(IDENTITY, held.fence, Status.DEFERRED, "", deferred(number))])
    # Then the newest are there and all are counted
    (record,) = ledger.deliveries([IDENTITY])
    assert record
    assert record.tries == ATTEMPTS_KEPT + 3
    assert [a.number for a in record.attempts] == list(range(4, ATTEMPTS_KEPT + 4))
    assert record.rule == "order.shipped/customer"


@pytest.mark.parametrize(
    ("status", "kept"),
    [(Status.SENT, 1000), (Status.REFUSED, 2000), (Status.DEFERRED, 7 * 86400), (Status.EXPIRED, 2000)],
)
def test_a_record_stays_as_long_as_its_status_says(store: Store, clock: Clock, status: Status, kept: int) -> None:
    # Given short retentions
    ledger = Ledger(store, Retention(sent=1000, failed=2000), clock)
    held = claim(ledger, request())
    # When an outcome is recorded
    ledger.record([Record(IDENTITY, held.fence, status)])
    # Then its record expires with them, but never while a message may still name it
    assert store.client.ttl(Packs(spread=store.spread).delivery(IDENTITY)) == pytest.approx(kept, abs=5)


def test_the_event_of_a_failed_delivery_stays_as_long_as_the_delivery(store: Store, clock: Clock) -> None:
    # Given an event whose delivery failed
    ledger = Ledger(store, Retention(sent=1000, failed=30 * 86400), clock)
    ledger.register([registration()])
    wanted = request(event(1), to="p0@example.org")
    held = claim(ledger, wanted)
    ledger.record([Record(wanted.delivery.id, held.fence, Status.REFUSED, "5.1.1", claimed=wanted)])
    # Then both can be looked up for a month
    assert store.client.ttl(Packs(spread=store.spread).event(wanted.event.key)) == pytest.approx(30 * 86400, abs=5)


def test_sent_is_remembered_even_when_redis_lost_the_claim(ledger: Ledger, store: Store) -> None:
    # Given a delivery that was being sent when Redis lost everything
    held = claim(ledger, request())
    store.client.flushall()
    # When its outcome is recorded, with nothing but the id
    assert ledger.record([Record(IDENTITY, held.fence, Status.SENT, "", attempt())]) == [True]
    # Then it is not sent again, although nothing else is known of it
    assert ledger.claim([request()], owner="worker-2", lease=90) == [Done(Status.SENT)]
    assert ledger.deliveries([IDENTITY]) == [None]


def test_a_claim_redis_lost_is_written_whole_when_its_request_is_given(ledger: Ledger, store: Store) -> None:
    # Given a delivery on its third try when Redis lost everything
    wanted = request(attempt=2)
    held = claim(ledger, wanted)
    store.client.flushall()
    # When it is deferred
    assert ledger.record([Record(IDENTITY, held.fence, Status.DEFERRED, "", deferred(3), claimed=wanted)]) == [True]
    # Then the record is there with the tries of its message
    (record,) = ledger.deliveries([IDENTITY])
    assert record
    assert (record.tries, record.destination) == (3, "j…@example.org")


def test_anything_but_sent_needs_a_record(ledger: Ledger) -> None:
    assert ledger.record([Record("dlv_none", 1, Status.DEFERRED)]) == [False]


@pytest.mark.parametrize("status", Status)
def test_a_replay_reopens_what_failed_and_never_what_was_sent(ledger: Ledger, status: Status) -> None:
    # Given a delivery in each status
    bring_to(ledger, request(), status)
    # When it is reopened, twice
    answers = [ledger.reopen([IDENTITY]), ledger.reopen([IDENTITY])]
    # Then what ended for good is not published and everything else is
    (record,) = ledger.deliveries([IDENTITY])
    failed = {Status.REFUSED, Status.EXHAUSTED, Status.SUPPRESSED, Status.SKIPPED}
    publish = status not in {Status.SENT, Status.EXPIRED}
    assert answers == [[publish], [publish]]
    assert record
    assert record.status == (Status.QUEUED if status in failed else status)


def test_a_replayed_delivery_has_its_whole_schedule_again(ledger: Ledger) -> None:
    # Given an exhausted delivery
    held = claim(ledger, request())
    ledger.record([Record(IDENTITY, held.fence, Status.EXHAUSTED, "tried for days", deferred(1))])
    # When it is replayed
    assert ledger.reopen([IDENTITY, "dlv_unknown"]) == [True, True]
    # Then its tries start anew, its history stays
    assert claim(ledger, request()).tries == 0
    (record,) = ledger.deliveries([IDENTITY])
    assert record
    assert (record.reason, record.attempts) == ("", (deferred(1),))


def test_a_replay_starts_the_schedule_anew_and_numbers_its_attempts_on(ledger: Ledger) -> None:
    # Given a delivery that failed for good at its second try
    first = claim(ledger, request())
    ledger.record([Record(IDENTITY, first.fence, Status.DEFERRED, attempt=deferred(first.number), next_try=0.0)])
    second = claim(ledger, request(attempt=1))
    ledger.record([Record(IDENTITY, second.fence, Status.REFUSED, "refused", attempt(second.number))])

    # When it is replayed, twice in between claims
    assert ledger.reopen([IDENTITY]) == ledger.reopen([IDENTITY]) == [True]
    third = claim(ledger, request())

    # Then it has spent no try, and its next attempt is the third
    assert (third.tries, third.number) == (0, 3)
    ledger.record([Record(IDENTITY, third.fence, Status.DEFERRED, attempt=deferred(third.number), next_try=0.0)])
    fourth = claim(ledger, request(attempt=1))
    assert (fourth.tries, fourth.number) == (1, 4)
    (record,) = ledger.deliveries([IDENTITY])
    assert record is not None
    assert ([one.number for one in record.attempts], record.tries) == ([1, 2, 3], 1)
