"""The plain policy lets everything through, and takes apart what nobody can read."""

import pytest

from notifier.domain.waiting import RawBatch
from notifier.errors import InvalidBatch, NotifierError
from notifier.worker.policy import Gated, Policy
from tests.unit.worker.doubles import Broker, batch_of


def test_a_batch_goes_as_it_is() -> None:
    batch = batch_of("dlv_a", "dlv_b")
    policy = Policy(Broker())

    gated = policy.sort(RawBatch.read(batch.encode()))

    assert (gated.batch, gated.blocked, gated.probes) == (batch, [], {})
    assert list(policy.delay(RawBatch.read(batch.encode()), gated)()) == []


def test_of_a_batch_with_one_that_is_unreadable_each_goes_by_itself() -> None:
    broker = Broker()
    wire = batch_of("dlv_a", "dlv_b").encode()
    wire["deliveries"][0]["event"] = "first"

    gated = Policy(broker).sort(RawBatch.read(wire))

    assert gated.batch is None
    assert ([one.id for batch, _ in broker.queued for one in batch.deliveries], len(broker.unreadable)) == (
        ["dlv_b"],
        1,
    )


def test_one_alone_that_is_unreadable_is_told() -> None:
    wire = batch_of("dlv_a").encode()
    wire["deliveries"][0]["event"] = "first"

    with pytest.raises(InvalidBatch):
        Policy(Broker()).sort(RawBatch.read(wire))


def test_who_leaves_deliveries_behind_needs_a_policy_of_its_own() -> None:
    with pytest.raises(NotifierError, match="email leaves no delivery behind"):
        Policy(Broker()).leaving(batch_of("dlv_a"), Gated(None))
