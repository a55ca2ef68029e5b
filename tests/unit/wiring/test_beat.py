"""Whether a run that is due now would be sent."""

from types import SimpleNamespace
from typing import Any

import pytest

from notifier.wiring.beat import BeatChecks
from notifier.worker.celery_side.scheduler import LATE_S, STUCK_S


def checks(silence: float = 0.0, redis: str | None = None, broker: str | None = None) -> BeatChecks:
    store: Any = SimpleNamespace(reachable=lambda: redis)
    scheduler: Any = SimpleNamespace(faults={"broker": broker, "redis": None}, silence=lambda: silence)
    return BeatChecks(store, scheduler)


def test_it_is_ready_with_both_servers_and_a_schedule_that_is_looked_at() -> None:
    assert checks().ready() == {"redis": None, "broker": None, "schedule": None}


@pytest.mark.parametrize(
    ("name", "found"),
    [("redis", checks(redis="cannot be reached")), ("broker", checks(broker="refused"))],
)
def test_a_server_that_is_away_is_named(name: str, found: BeatChecks) -> None:
    assert [which for which, why in found.ready().items() if why] == [name]


def test_one_that_is_late_is_not_ready_and_one_that_is_stuck_is_to_be_restarted() -> None:
    late, stuck = checks(LATE_S + 1), checks(STUCK_S + 1)

    assert (late.ready()["schedule"], late.alive()) == ("has not looked what is due for 16 s", None)
    assert stuck.alive() == "has not looked what is due for 121 s"
