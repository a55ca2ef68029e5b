"""Who may send: claims, leases, dead owners, marks and hand-backs."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from notifier.domain.delivery import Status, may_become
from notifier.domain.suppression import NOTHING, bounced
from notifier.storage.ledger import Busy, Claimed, Done, Ledger, NotYet, Record, Retention
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from tests.integration.storage.making import RULE, Clock, bring_to, claim, deferred, event, registration, request

OTHER = "worker-2"


def test_a_delivery_nobody_holds_is_claimed(ledger: Ledger) -> None:
    assert claim(ledger, request()) == Claimed(fence=1, tries=0, uncertain=False, known=False)


def test_a_registered_delivery_is_known_when_it_is_claimed(ledger: Ledger) -> None:
    # Given a delivery that was claimed and handed back before
    bring_to(ledger, request(), Status.QUEUED)
    # Then the next claim knows it
    assert claim(ledger, request()).known


def test_of_many_claims_at_once_exactly_one_wins(ledger: Ledger) -> None:
    # Given twelve living workers
    owners = [f"worker-{i}" for i in range(12)]
    for owner in owners:
        ledger.heartbeat(owner, 30)
    requests = [request(event(i)) for i in range(20)]
    # When all claim the same deliveries at once
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda owner: ledger.claim(requests, owner=owner, lease=90), owners))
    # Then each delivery has one owner and eleven that wait
    for column in zip(*answers, strict=True):
        assert sorted(type(answer).__name__ for answer in column) == ["Busy"] * 11 + ["Claimed"]


def test_a_claim_repeated_because_its_reply_was_lost_gets_the_same_answer(ledger: Ledger) -> None:
    # Given a claim
    ledger.heartbeat("worker-1", 30)
    first = ledger.claim([request()], owner="worker-1", lease=90, nonce="abc")
    # When the same claim runs again
    again = ledger.claim([request()], owner="worker-1", lease=90, nonce="abc")
    # Then it is the same one, not a second
    assert again == first


def test_a_second_copy_at_the_same_worker_is_busy(ledger: Ledger) -> None:
    # Given a delivery this worker is sending
    claim(ledger, request())
    # When the broker redelivers its message to the same worker
    (answer,) = ledger.claim([request()], owner="worker-1", lease=90)
    # Then it must wait
    assert answer == Busy("worker-1", 90.0)


def test_a_live_lease_of_another_is_busy_until_it_ends(ledger: Ledger, clock: Clock) -> None:
    # Given another worker's lease of 90 seconds
    claim(ledger, request())
    # When 30 of them have passed
    clock.now += 30
    # Then 60 are left
    assert ledger.claim([request()], owner=OTHER, lease=90) == [Busy("worker-1", 60.0)]


def test_an_expired_lease_is_claimed_with_a_new_fence_and_no_try_spent(ledger: Ledger, clock: Clock) -> None:
    # Given a lease that has ended while its owner lives
    first = claim(ledger, request())
    clock.now += 91
    # When another claims
    (second,) = ledger.claim([request()], owner=OTHER, lease=90)
    # Then it gets it
    assert second == Claimed(fence=first.fence + 1, tries=0, known=False)


def test_a_dead_owners_lease_ends_at_once(ledger: Ledger, store: Store) -> None:
    # Given a worker that holds a delivery and is gone
    claim(ledger, request())
    ledger.farewell("worker-1")
    before = store.round_trips
    # When another claims
    (answer,) = ledger.claim([request()], owner=OTHER, lease=90)
    # Then it has it after three round trips
    assert answer == Claimed(fence=2, tries=0, known=False)
    assert store.round_trips - before == 3


@pytest.mark.usefixtures("redis_server")
def test_a_batch_without_dead_owners_is_claimed_in_one_round_trip(ledger: Ledger, store: Store) -> None:
    # Given planned deliveries, and scripts that are loaded
    ledger.register([registration(i) for i in range(51)])
    requests = [request(event(i), to="p0@example.org") for i in range(51)]
    claim(ledger, requests[0])
    before = store.round_trips
    # When fifty deliveries are claimed
    answers = ledger.claim(requests[1:], owner="worker-1", lease=90)
    # Then it took one
    assert answers == [Claimed(fence=1, tries=0)] * 50
    assert store.round_trips - before == 1


@pytest.mark.usefixtures("redis_server")
def test_only_deliveries_redis_has_lost_take_a_second_round_trip(ledger: Ledger, store: Store) -> None:
    # Given deliveries of which Redis has lost every other one
    ledger.register([registration(i) for i in range(0, 10, 2)])
    requests = [request(event(i), to="p0@example.org") for i in range(10)]
    claim(ledger, request(event(99)))
    before = store.round_trips
    # When all are claimed
    answers = ledger.claim(requests, owner="worker-1", lease=90)
    # Then all are ours, and the lost ones are written whole
    assert answers == [Claimed(fence=1, tries=0, known=i % 2 == 0) for i in range(10)]
    assert store.round_trips - before == 2
    assert all(found and found.rule == RULE.id for found in ledger.deliveries([r.delivery.id for r in requests]))


def test_what_was_marked_as_leaving_is_uncertain_after_its_owner_died(ledger: Ledger) -> None:
    # Given a worker that died after its mark
    held = claim(ledger, request())
    assert ledger.mark_leaving([(request().delivery.id, held.fence)]) == [True]
    ledger.farewell("worker-1")
    # When another claims, and dies too before it decides
    first = claim(ledger, request(), owner=OTHER)
    ledger.farewell(OTHER)
    second = claim(ledger, request(), owner="worker-3")
    # Then both were told that it may have been sent
    assert (first.uncertain, second.uncertain) == (True, True)


def test_a_mark_is_refused_when_the_claim_was_lost(ledger: Ledger, clock: Clock) -> None:
    # Given a claim that another took over
    held = claim(ledger, request())
    clock.now += 91
    claim(ledger, request(), owner=OTHER)
    # Then nothing may leave under the old one, nor under a delivery that is unknown
    assert ledger.mark_leaving([(request().delivery.id, held.fence), ("dlv_none", 1)]) == [False, False]


@pytest.mark.parametrize("status", Status)
def test_a_claim_follows_the_transition_table(ledger: Ledger, status: Status) -> None:
    # Given a delivery in each status
    bring_to(ledger, request(), status)
    # When another worker claims it
    (answer,) = ledger.claim([request()], owner=OTHER, lease=90)
    # Then it is claimed, busy or done as the table says
    if status is Status.SENDING:
        assert isinstance(answer, Busy)
    elif may_become(status, Status.SENDING):
        assert isinstance(answer, Claimed)
    else:
        assert answer == Done(status)


def defer(ledger: Ledger, clock: Clock, seconds: float) -> None:
    held = claim(ledger, request())
    entry = Record(request().delivery.id, held.fence, Status.DEFERRED, "", deferred(), clock.now + seconds)
    assert ledger.record([entry]) == [True]


def test_an_old_copy_of_a_deferred_delivery_waits_for_its_next_try(ledger: Ledger, clock: Clock) -> None:
    # Given a delivery deferred for 30 seconds
    defer(ledger, clock, 30)
    # When the copy from before that try comes back
    clock.now += 10
    # Then it is not sent early
    assert ledger.claim([request(attempt=0)], owner=OTHER, lease=90) == [NotYet(20.0)]


def test_the_delayed_copy_of_a_deferred_delivery_is_claimed_even_a_little_early(ledger: Ledger, clock: Clock) -> None:
    # Given a delivery deferred for 30 seconds
    defer(ledger, clock, 30)
    # When its delayed copy comes, by a clock that is half a second off
    clock.now += 29.5
    # Then it is claimed with its try counted
    assert ledger.claim([request(attempt=1)], owner=OTHER, lease=90) == [Claimed(fence=2, tries=1)]


def test_a_held_delivery_waits_until_its_hold_ends(ledger: Ledger, clock: Clock) -> None:
    # Given a delivery held for an hour
    held = claim(ledger, request())
    ledger.record([Record(request().delivery.id, held.fence, Status.HELD, "quiet hours", next_try=clock.now + 3600)])
    # Then it waits, then goes
    assert ledger.claim([request()], owner=OTHER, lease=90) == [NotYet(3600.0)]
    clock.now += 3600
    assert isinstance(ledger.claim([request()], owner=OTHER, lease=90)[0], Claimed)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.DEFERRED, Status.HELD])
def test_a_released_delivery_is_as_it_was_before_the_claim(ledger: Ledger, status: Status) -> None:
    # Given a delivery on its way
    identity = request().delivery.id
    bring_to(ledger, request(), status)
    (before,) = ledger.deliveries([identity])
    # When a worker claims it and hands it back, twice because the reply was lost
    held = claim(ledger, request(), owner=OTHER)
    released = [ledger.release([(identity, held.fence)]), ledger.release([(identity, held.fence)])]
    # Then it is as before and can be claimed at once
    (after,) = ledger.deliveries([identity])
    assert released == [[True], [True]]
    assert before
    assert after
    assert (after.status, after.tries) == (status, before.tries)
    assert claim(ledger, request(), owner="worker-3").fence == held.fence + 1


def test_a_release_with_an_old_fence_changes_nothing(ledger: Ledger, clock: Clock) -> None:
    held = claim(ledger, request())
    clock.now += 91
    claim(ledger, request(), owner=OTHER)
    assert ledger.release([(request().delivery.id, held.fence), ("dlv_none", 1)]) == [False, False]


def test_a_mark_survives_a_hand_back(ledger: Ledger) -> None:
    # Given a marked delivery that was handed back
    identity = request().delivery.id
    held = claim(ledger, request())
    ledger.mark_leaving([(identity, held.fence)])
    ledger.release([(identity, held.fence)])
    # Then whoever claims it next knows
    assert claim(ledger, request(), owner=OTHER).uncertain


def test_tries_of_a_delivery_redis_lost_come_from_its_message(ledger: Ledger) -> None:
    # Given a message on its fourth try and an empty Redis
    assert claim(ledger, request(attempt=3)) == Claimed(1, 3, known=False)


def test_a_suppressed_address_is_named_in_the_same_round_trip(ledger: Ledger, store: Store) -> None:
    # Given one suppressed address
    suppressed = request(event(1), to="gone@example.org")
    assert suppressed.recipient_key
    Suppressions(store).add(suppressed.recipient_key, bounced("smtp_550_5.1.1", 1.0))
    # When two people are written to
    answers = ledger.claim([request(event(2)), suppressed], owner="worker-1", lease=90)
    # Then only that one is stopped
    found = [a.suppressed for a in answers if isinstance(a, Claimed)]
    assert found == [NOTHING, NOTHING.plus(bounced("smtp_550_5.1.1", 1.0))]


def test_deliveries_to_a_person_are_found_newest_first(ledger: Ledger) -> None:
    # Given three deliveries to one person, the first of them claimed twice, and one to another
    mine = [request(event(i)) for i in range(3)]
    for wanted in [*mine, mine[0], request(event(9), to="other@example.org")]:
        ledger.claim([wanted], owner="worker-1", lease=90)
    # Then the person's are listed, the last one first
    assert mine[0].recipient_key
    assert ledger.of_recipient(mine[0].recipient_key, 2) == [mine[2].delivery.id, mine[1].delivery.id]
    assert len(ledger.of_recipient(mine[0].recipient_key)) == 3


def test_a_second_try_is_not_noted_again(ledger: Ledger, store: Store) -> None:
    # Given a delivery on its first try and then on its second
    for tries in (0, 1):
        ledger.claim([request(attempt=tries)], owner="worker-1", lease=90)
    # Then the person's bucket has one entry
    (bucket,) = store.client.scan_iter("ntf:i:*")
    assert store.client.llen(bucket) == 1


def test_the_index_names_what_is_kept_the_longest(store: Store, clock: Clock) -> None:
    # Given sent deliveries that are kept for a year, and others for a month
    ledger = Ledger(store, Retention(sent=365 * 86400, failed=30 * 86400), clock=clock)
    ledger.claim([request()], owner="worker-1", lease=90)
    # Then the index is kept as long as those
    (bucket,) = store.client.scan_iter("ntf:i:*")
    assert store.client.pttl(bucket) > 364 * 86400_000
