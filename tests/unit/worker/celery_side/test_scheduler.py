"""What beat schedules must not fill the failure queues: nobody can replay it, and the next run makes good the last."""

import logging
from typing import Any

import pytest
from celery import Celery
from celery.beat import ScheduleEntry

from notifier.celery import from_settings
from notifier.errors import StorageUnavailable
from notifier.settings import Settings
from notifier.worker.celery_side.scheduler import AGAIN_S, SharedScheduler
from notifier.worker.celery_side.tasks import sweep


def test_nothing_scheduled_expires_because_rabbitmq_dead_letters_what_does() -> None:
    schedule = from_settings(Settings())["beat_schedule"]

    assert schedule
    assert all("expires" not in entry["options"] for entry in schedule.values())


def test_a_sweep_that_fails_is_not_dead_lettered() -> None:
    assert sweep.acks_late is False


class Runs:
    """What Redis says of a run: seconds until it is due, or an error."""

    def __init__(self) -> None:
        self.left: float | Exception = 0.0
        self.taken: list[str] = []

    def take(self, name: str, period: float) -> float:
        if isinstance(self.left, Exception):
            raise self.left
        self.taken.append(name)
        return self.left


class Beat(SharedScheduler):
    """Sends nothing: remembers what it would send, and finds the broker as a test says."""

    def __init__(self, runs: Any) -> None:
        self.broker: str | None = None
        self.sent: list[str] = []
        super().__init__(app=Celery("test", set_as_current=False), lazy=True)
        self.runs = runs
        entry = ScheduleEntry(name="sweep", task="notifier.sweep", schedule=2.0, app=self.app)
        self.data: Any = {"sweep": entry}

    def _look_at_broker(self) -> str | None:
        return self.broker

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        self.sent.append(entry.task)

    producer = None  # type: ignore[assignment]


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def beat(runs: Runs) -> Beat:
    return Beat(runs)


def test_a_run_that_is_due_is_sent_by_whoever_takes_it(beat: Beat, runs: Runs) -> None:
    assert beat.tick() == AGAIN_S
    assert beat.sent == ["notifier.sweep"]

    runs.left = 0.25
    assert beat.tick() == 0.25
    assert beat.sent == ["notifier.sweep"]


def test_without_a_broker_no_run_is_taken(beat: Beat, runs: Runs) -> None:
    beat.broker = "refused"

    assert (beat.tick(), runs.taken, beat.faults["broker"]) == (AGAIN_S, [], "refused")


def test_a_server_that_went_away_and_came_back_is_told_once_each(
    beat: Beat, runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "notifier")
    beat.tick()
    for left in (StorageUnavailable("away"), StorageUnavailable("away"), 0.0):
        runs.left = left
        assert beat.tick() == AGAIN_S

    assert [record.getMessage() for record in caplog.records if "beat" in record.getMessage()] == [
        "beat.goes_on",
        "beat.waits",
        "beat.goes_on",
    ]
    assert beat.sent == ["notifier.sweep"] * 2
