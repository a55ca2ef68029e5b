"""How a batch's claims come out: ours, somebody else's, not due yet, or done long ago."""

import time

import pytest

from notifier.domain.batch import Batch
from notifier.domain.delivery import Attempt, Status
from notifier.domain.rule import Channel
from notifier.errors import StorageUnavailable
from notifier.storage.ledger import Claimed, Record
from notifier.worker import outage
from notifier.worker.batch.claims import Claims, claim, claim_all, work_of
from tests.unit.worker.doubles import EVENT, Faults, World, batch_of


def look(world: World, batch: Batch, lease: float, *, patient: bool = False) -> Claims:
    return claim_all(work_of(batch, world.content), world.ledger, "w1", lease, patient=patient)


def test_what_nobody_has_is_ours_with_its_event_and_rule(world: World) -> None:
    (work,) = look(world, batch_of("dlv_a"), 60.0).work

    assert (work.delivery.id, work.event, work.rule.id, work.items) == ("dlv_a", EVENT, "order.shipped/mail", ())
    assert (work.claim.tries, work.claim.number) == (0, 1)


@pytest.mark.parametrize("status", [Status.SENT, Status.REFUSED, Status.EXPIRED])
def test_what_has_ended_is_told_with_its_end(world: World, status: Status) -> None:
    world.ended(batch_of("dlv_a"), status)

    claims = look(world, batch_of("dlv_a"), 60.0)

    assert [(one.id, end) for one, end in claims.ended] == [("dlv_a", status)]
    assert (claims.work, claims.later, claims.orphans) == ([], [], [])


def test_what_another_living_worker_has_is_for_later_or_an_orphan(world: World) -> None:
    batch = batch_of("dlv_a")
    world.claimed(batch, "w2")

    hasty = look(world, batch, 60.0)
    patient = look(world, batch, 60.0, patient=True)

    # It is looked at again long before the lease of a minute ends: that worker may be done in a moment
    assert [(one.id, seconds) for one, seconds in hasty.later] == [("dlv_a", 30)]
    assert ([one.id for one in patient.orphans], patient.later) == (["dlv_a"], [])


def test_what_this_worker_has_already_is_no_orphan_of_its(world: World) -> None:
    batch = batch_of("dlv_a")
    world.claimed(batch, "w1")

    claims = look(world, batch, 20.0, patient=True)

    assert (claims.orphans, [one.id for one, _ in claims.later]) == ([], ["dlv_a"])


def test_what_a_dead_worker_had_is_ours(world: World) -> None:
    batch = batch_of("dlv_a")
    world.claimed(batch, "w2")
    world.ledger.farewell("w2")

    (work,) = look(world, batch, 60.0).work

    assert (work.claim.fence, work.claim.uncertain) == (2, False)


def test_an_older_copy_waits_until_the_next_try_is_due(world: World) -> None:
    # Given a delivery that was tried, and whose next try is in a while
    (work,) = world.claimed(batch_of("dlv_a"))
    attempt = Attempt(1, time.time(), 0.1, "deferred", "smtp_450", "", "w1")
    due = time.time() + 40
    world.ledger.record([Record("dlv_a", work.claim.fence, Status.DEFERRED, attempt=attempt, next_try=due)])

    # When the message of the first try comes again
    claims = look(world, batch_of("dlv_a"), 60.0)

    # Then it is sent no second time now, whole seconds rounded up
    ((again, seconds),) = claims.later
    assert again.id == "dlv_a"
    assert 39 <= seconds <= 40


@pytest.mark.parametrize("kind", list(Channel))
def test_a_rule_that_this_worker_has_not_is_known_by_its_empty_template(world: World, kind: Channel) -> None:
    (work,) = look(world, batch_of("dlv_a", rule="order.shipped/newer", kind=kind), 60.0).work

    assert (work.rule.id, work.rule.template, work.rule.channel) == ("order.shipped/newer", "", kind)


def test_a_claim_whose_answer_was_lost_is_made_again_and_is_still_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a Redis that claims, and whose answer is lost
    monkeypatch.setattr(outage, "_STEPS_S", (0.0,))
    faults = Faults(0, StorageUnavailable("away"), after=True)
    requests = [work.request for work in world.claimed(batch_of("dlv_a"))]
    world.ledger.release([("dlv_a", 1)])

    # When it is asked again
    (found,) = claim(faults.of(world.ledger), requests, "w1", 60.0)

    # Then the claim is there, once
    assert isinstance(found, Claimed)
    assert (found.fence, faults.calls) == (2, 2)
