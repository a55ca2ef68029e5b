"""A worker that died after it had recorded an end: whoever gets its batch does what was left undone, and no more."""

import time

import pytest

from notifier.domain.batch import Batch
from notifier.domain.delivery import Attempt, Status, with_digest
from notifier.domain.endpoint import DISABLED
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked
from notifier.domain.rule import Channel
from notifier.errors import BrokerUnavailable, StorageUnavailable
from notifier.worker import outage
from notifier.worker.batch import unfinished
from tests.unit.worker.digests.windows import digest_batch, item_batch
from tests.unit.worker.doubles import Faults, World, batch_of


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever ended something here has had the time to park it."""
    at(monkeypatch, unfinished.PARKED_BY_THEN_S)


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """So long after the end."""
    monkeypatch.setattr(unfinished, "now", lambda: time.time() + seconds)


def refusal(worker: str) -> Attempt:
    return Attempt(1, 1.0, 0.1, "refused", "smtp_550_5.1.1", "550 no such user", worker)


def finish(world: World, batch: Batch, status: Status, faults: Faults | None = None) -> None:
    faults = faults or Faults()
    ended = [(delivery, status) for delivery in batch.deliveries]
    unfinished.finish(batch, ended, world.stores(faults), faults.of(world.broker))


def test_what_failed_and_was_never_parked_is_parked_as_its_worker_would_have(world: World) -> None:
    # Given a delivery whose refusal was recorded, by a worker that died then
    batch = batch_of("dlv_a")
    world.ended(batch, Status.REFUSED, Cause.BAD_RECIPIENT, refusal("dead"))

    finish(world, batch, Status.REFUSED)

    ((queue, parked),) = world.broker.parked
    (entry,) = parked.parked
    assert (queue, entry.cause, entry.reason, entry.code, entry.attempts) == (
        "failed-email",
        Cause.BAD_RECIPIENT,
        "550 no such user",
        "smtp_550_5.1.1",
        1,
    )
    assert world.known_as_parked() == ["dlv_a"]


def test_what_a_dead_worker_ended_a_moment_ago_is_parked_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 0.0)
    batch = batch_of("dlv_a")
    world.ended(batch, Status.REFUSED, Cause.BAD_RECIPIENT, refusal("dead"))

    finish(world, batch, Status.REFUSED)

    assert (world.known_as_parked(), world.broker.queued) == (["dlv_a"], [])


@pytest.mark.parametrize("attempt", [refusal("w1"), None], ids=["alive", "nobody knows whose"])
def test_what_a_living_worker_ended_a_moment_ago_is_left_to_it_and_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch, attempt: Attempt | None
) -> None:
    # Given a worker that lives, has recorded a refusal, and has not parked it yet
    at(monkeypatch, 0.0)
    batch = batch_of("dlv_a", "dlv_b")
    world.ended(batch, Status.REFUSED, Cause.BAD_RECIPIENT, attempt)

    # When its batch comes back to another one
    finish(world, batch, Status.REFUSED)

    # Then nothing is parked, and the batch comes again
    assert world.known_as_parked() == []
    ((again, seconds),) = world.broker.queued
    assert ([one.id for one in again.deliveries], seconds) == (["dlv_a", "dlv_b"], unfinished.SETTLE_S)

    # And when it does, what its worker has parked meanwhile is left alone, and the rest is parked once it is late
    world.parked.add([Parked("dlv_a", "failed-email", Cause.BAD_RECIPIENT, "no", 1.0)])
    at(monkeypatch, unfinished.PARKED_BY_THEN_S)
    finish(world, again, Status.REFUSED)
    assert [one.id for _, parked in world.broker.parked for one in parked.parked] == ["dlv_b"]
    assert len(world.broker.queued) == 1


def test_an_outage_while_something_is_left_to_its_worker_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, 0.0)
    monkeypatch.setattr(outage, "_STEPS_S", (0.0,))
    for error in (StorageUnavailable("away"), BrokerUnavailable("away")):
        for step in range(4):
            batch = batch_of(f"dlv_{step}_{type(error).__name__}")
            world.ended(batch, Status.REFUSED, Cause.BAD_RECIPIENT, refusal("w1"))
            finish(world, batch, Status.REFUSED, Faults(step, error))
            assert [one.id for one in world.broker.queued[-1][0].deliveries] == [batch.deliveries[0].id]
    assert world.broker.parked == []


def test_what_is_indexed_as_parked_is_left_alone(world: World) -> None:
    batch = batch_of("dlv_a", "dlv_b")
    world.ended(batch, Status.REFUSED, Cause.REFUSED)
    world.parked.add([Parked("dlv_a", "failed-email", Cause.REFUSED, "no", 1.0)])

    finish(world, batch, Status.REFUSED)

    assert [one.id for _, parked in world.broker.parked for one in parked.parked] == ["dlv_b"]


@pytest.mark.parametrize(
    ("status", "reason", "cause"),
    [
        (Status.REFUSED, "render_failed", Cause.RENDER_FAILED),
        (Status.REFUSED, "a cause of a later release", Cause.REFUSED),
        (Status.EXHAUSTED, "whatever", Cause.EXHAUSTED),
        (Status.SKIPPED, f"{DISABLED}: moved", Cause.ENDPOINT_DISABLED),
    ],
)
def test_the_cause_is_what_the_ledger_says(world: World, status: Status, reason: str, cause: Cause) -> None:
    batch = batch_of("dlv_a")
    if status is Status.EXHAUSTED:
        world.ended(batch, status, reason)
    else:
        world.ended(batch, status, reason)

    finish(world, batch, status)

    assert [one.cause for _, parked in world.broker.parked for one in parked.parked] == [cause]


@pytest.mark.parametrize("status", [Status.SENT, Status.EXPIRED, Status.SUPPRESSED])
def test_what_did_not_fail_asks_nobody_anything(world: World, status: Status) -> None:
    batch = batch_of("dlv_a")
    world.ended(batch, status)
    before = world.store.round_trips

    finish(world, batch, status)

    assert (world.broker.parked, world.store.round_trips - before) == ([], 0)


def test_what_was_skipped_because_nobody_wants_it_is_not_parked(world: World) -> None:
    batch = batch_of("dlv_a", kind=Channel.WEBHOOK, endpoint="ep_1")
    world.ended(batch, Status.SKIPPED, "another copy goes to this address")

    finish(world, batch, Status.SKIPPED)

    assert world.broker.parked == []


@pytest.mark.parametrize("status", [Status.SENT, Status.REFUSED, Status.EXPIRED])
def test_the_items_of_a_digest_that_had_ended_end_too(world: World, status: Status) -> None:
    # Given a digest that was recorded as ended, and items that still wait for it
    batch = digest_batch(world, "dlv_i", "dlv_j")
    world.ended(batch, status, "why")

    finish(world, batch, status)

    assert world.statuses("dlv_i", "dlv_j") == [status, status]


def test_an_item_that_ended_with_its_digest_is_not_parked_beside_it(world: World) -> None:
    batch = item_batch("dlv_i", "dlv_j")
    world.ended(item_batch("dlv_i"), Status.REFUSED, with_digest("dig_1", "no"))
    world.ended(item_batch("dlv_j"), Status.REFUSED, Cause.RULE_MISSING)

    finish(world, batch, Status.REFUSED)

    # Then only the one whose own end it was, in the queue of digests
    assert [(queue, one.id, one.queue) for queue, parked in world.broker.parked for one in parked.parked] == [
        ("failed-digest", "dlv_j", "failed-digest")
    ]


@pytest.mark.parametrize("error", [StorageUnavailable("away"), BrokerUnavailable("away")], ids=["redis", "broker"])
@pytest.mark.parametrize("after", [False, True], ids=["unheard", "unanswered"])
def test_an_outage_at_any_step_still_parks(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, after: bool
) -> None:
    monkeypatch.setattr(outage, "_STEPS_S", (0.0,))
    calm = Faults()
    world.ended(batch_of("calm"), Status.REFUSED, Cause.REFUSED)
    finish(world, batch_of("calm"), Status.REFUSED, calm)
    assert calm.calls == 4

    for step in range(calm.calls):
        batch = batch_of(f"dlv_{step}")
        world.ended(batch, Status.REFUSED, Cause.REFUSED)
        finish(world, batch, Status.REFUSED, Faults(step, error, after))
        assert f"dlv_{step}" in world.known_as_parked()
        assert f"dlv_{step}" in [one.id for _, parked in world.broker.parked for one in parked.parked]
