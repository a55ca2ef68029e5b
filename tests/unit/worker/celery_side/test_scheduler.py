"""What beat schedules must not fill the failure queues: nobody can replay it, and the next run makes good the last."""

from notifier.celery import from_settings
from notifier.settings import Settings
from notifier.worker.celery_side.tasks import sweep


def test_nothing_scheduled_expires_because_rabbitmq_dead_letters_what_does() -> None:
    schedule = from_settings(Settings())["beat_schedule"]

    assert schedule
    assert all("expires" not in entry["options"] for entry in schedule.values())


def test_a_sweep_that_fails_is_not_dead_lettered() -> None:
    assert sweep.acks_late is False
