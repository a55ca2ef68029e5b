"""A batch with something that nobody can read is taken apart, and only that fails."""

import pytest

from notifier.domain.waiting import RawBatch
from notifier.errors import BrokerUnavailable, InvalidBatch
from notifier.worker import outage
from notifier.worker.batch.separation import separate
from tests.unit.worker.doubles import Broker, Faults, batch_of


def test_each_delivery_of_it_is_queued_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a batch of three, one of which is broken, and a broker that is away once
    monkeypatch.setattr(outage, "_STEPS_S", (0.0,))
    broker, faults = Broker(), Faults(1, BrokerUnavailable("away"))
    wire = batch_of("dlv_a", "dlv_b", "dlv_c").encode()
    wire["deliveries"][1]["to"] = "nobody"

    separate(RawBatch.read(wire), InvalidBatch("broken"), faults.of(broker))

    assert [[one.id for one in batch.deliveries] for batch, _ in broker.queued] == [["dlv_a"], ["dlv_c"]]
    assert len(broker.unreadable) == 1


def test_a_batch_of_one_is_what_cannot_be_read() -> None:
    broker, error = Broker(), InvalidBatch("broken")

    with pytest.raises(InvalidBatch) as raised:
        separate(RawBatch.read(batch_of("dlv_a").encode()), error, broker)

    assert raised.value is error
    assert broker.queued == []
