"""."""

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


def test_signs_of_life_and_the_farewell_are_in_redis_and_an_outage_stops_neither(world: World) -> None:
    faults = Faults(0, StorageUnavailable("away"))
    parts: Any = SimpleNamespace(ledger=faults.of(world.ledger), owner="w1")

    for _ in range(2):
        lifecycle._beat_once(parts)
    world.ledger.heartbeat("w2", 60.0)
    faults.at = faults.calls
    for _ in range(2):
        lifecycle._leave(parts)

    assert faults.calls == 4
