"""Intake without RabbitMQ: an event is planned, registered and queued, or nothing of it is."""

from types import SimpleNamespace
from typing import Any

import pytest

from notifier.domain.event import Event
from notifier.errors import BrokerUnavailable, PlanningError
from notifier.worker.celery_side.embedded import EmbeddedIntake
from tests.unit.worker.doubles import Faults, World


class Directory:
    """One endpoint of every tenant."""

    def refresh(self, tenants: Any) -> None:
        self.refreshed = tenants

    def endpoints(self, tenant: str, event_type: str) -> list[str]:
        return ["ep_1"]


def event(number: int, **data: Any) -> Event:
    wire = {"specversion": "1.0", "id": str(number), "source": "/shop", "type": "order.shipped"}
    return Event.from_attributes({**wire, "data": {"to": f"{number}@example.org", **data}})


def intake(world: World, faults: Faults | None = None) -> EmbeddedIntake:
    content: Any = SimpleNamespace(current=world.content)
    directory: Any = Directory()
    return EmbeddedIntake(content, directory, world.ledger, (faults or Faults()).of(world.broker))


def queued(world: World) -> list[str]:
    return sorted(one.rule for batch, _ in world.broker.queued for one in batch.deliveries)


ALL = ["order.shipped/hook", "order.shipped/mail", "order.shipped/news", "order.shipped/once"]


def test_each_delivery_of_an_event_is_queued_once_however_often_it_comes(world: World) -> None:
    for _ in range(2):
        intake(world).accept([event(1)])

    assert queued(world) == ALL
    found = world.ledger.event(event(1).key)
    assert found is not None


def test_an_event_part_of_which_cannot_be_planned_is_refused_whole(world: World) -> None:
    with pytest.raises(PlanningError):
        intake(world).accept([event(1, to=7)])

    assert queued(world) == []


def test_after_an_outage_in_the_middle_the_event_may_come_again(world: World) -> None:
    with pytest.raises(BrokerUnavailable):
        intake(world, Faults(2, BrokerUnavailable("away"))).accept([event(1)])

    intake(world).accept([event(1)])

    assert set(queued(world)) == set(ALL)
