"""Items of a digest end as it does, or before it, and nothing else of theirs is touched."""

import pytest

from notifier.domain.batch import Batch
from notifier.domain.delivery import Status, with_digest
from notifier.errors import StorageUnavailable
from notifier.worker import outage
from notifier.worker.digests.late_items import record_items
from tests.unit.worker.digests.windows import digest_batch, item_batch
from tests.unit.worker.doubles import Faults, World, batch_of


def record(world: World, batch: Batch, status: Status, *, late: tuple[int, ...] = ()) -> None:
    record_items(world.ledger, batch, batch.deliveries[0], status, reason="why", late=late)


@pytest.mark.parametrize("status", [Status.REFUSED, Status.EXHAUSTED, Status.SUPPRESSED, Status.SKIPPED])
def test_items_end_with_their_digest_and_say_why(world: World, status: Status) -> None:
    batch = digest_batch(world, "dlv_i", "dlv_j")

    record(world, batch, status)

    assert world.statuses("dlv_i", "dlv_j") == [status, status]
    assert world.record("dlv_i").reason == with_digest(batch.deliveries[0].id, "why")


def test_items_that_were_too_late_for_a_digest_that_was_sent_have_expired(world: World) -> None:
    batch = digest_batch(world, "dlv_i", "dlv_j", "dlv_k")

    record(world, batch, Status.SENT, late=(1,))

    assert world.statuses("dlv_i", "dlv_j", "dlv_k") == [Status.SENT, Status.EXPIRED, Status.SENT]


def test_of_a_digest_that_expired_no_item_is_left(world: World) -> None:
    batch = digest_batch(world, "dlv_i", "dlv_j")

    record(world, batch, Status.EXPIRED)

    assert world.statuses("dlv_i", "dlv_j") == [Status.EXPIRED, Status.EXPIRED]
    assert "before digest" in world.record("dlv_j").reason


@pytest.mark.parametrize("status", [Status.DEFERRED, Status.HELD, Status.SENDING])
def test_a_digest_that_is_on_its_way_costs_nothing(world: World, status: Status) -> None:
    batch = digest_batch(world, "dlv_i")
    before = world.store.round_trips

    record(world, batch, status, late=(0,))

    assert world.store.round_trips == before
    assert world.statuses("dlv_i") == [Status.HELD]


def test_a_delivery_that_is_no_digest_costs_nothing(world: World) -> None:
    before = world.store.round_trips

    record(world, batch_of("dlv_a"), Status.SENT)

    assert world.store.round_trips == before


def test_an_item_that_has_ended_otherwise_keeps_its_end(world: World) -> None:
    # Given a digest one of whose items was left out at the first try, and has expired
    batch = digest_batch(world, "dlv_i", "dlv_j")
    world.ended(item_batch("dlv_i"), Status.EXPIRED, "long ago")

    record(world, batch, Status.REFUSED, late=(0,))

    assert world.statuses("dlv_i", "dlv_j") == [Status.EXPIRED, Status.REFUSED]
    assert world.record("dlv_i").reason == "long ago"


@pytest.mark.parametrize("after", [False, True], ids=["unheard", "unanswered"])
@pytest.mark.parametrize("status", [Status.SENT, Status.REFUSED])
def test_an_outage_at_any_step_changes_nothing_of_how_items_end(
    world: World, monkeypatch: pytest.MonkeyPatch, status: Status, after: bool
) -> None:
    monkeypatch.setattr(outage, "_STEPS_S", (0.0,))
    calm = Faults()
    batch = digest_batch(world, "dlv_i", "dlv_late")
    record_items(calm.of(world.ledger), batch, batch.deliveries[0], status, reason="", late=(1,))

    for step in range(calm.calls):
        batch = digest_batch(world, f"dlv_i{step}", f"dlv_late{step}")
        faults = Faults(step, StorageUnavailable("away"), after)
        record_items(faults.of(world.ledger), batch, batch.deliveries[0], status, reason="", late=(1,))
        assert world.statuses(f"dlv_i{step}", f"dlv_late{step}") == [status, Status.EXPIRED]
