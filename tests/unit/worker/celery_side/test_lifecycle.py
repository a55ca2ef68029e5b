"""A worker's end, as far as it can be seen without Celery."""

from types import SimpleNamespace
from typing import Any

import pytest

from notifier.errors import NotifierError, StorageUnavailable
from notifier.worker.celery_side import lifecycle
from notifier.worker.celery_side.lifecycle import current
from tests.unit.worker.doubles import Faults, World


def test_outside_a_started_worker_there_are_no_parts() -> None:
    with pytest.raises(NotifierError, match="notifier worker"):
        current()


def test_a_farewell_that_redis_does_not_hear_stops_no_worker_from_ending(world: World) -> None:
    faults = Faults(0, StorageUnavailable("away"))
    parts: Any = SimpleNamespace(ledger=faults.of(world.ledger), owner="w1")
    world.ledger.heartbeat("w1", 60.0)

    lifecycle._leave(parts)
    assert world.ledger.dead({"w1"}) == set()

    lifecycle._leave(parts)
    assert world.ledger.dead({"w1"}) == {"w1"}
