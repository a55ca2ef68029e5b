"""Which work queues are full, without a broker."""

import logging

import pytest

from consumers.pressure import TURNS, Pressure, priority_of
from notifier.domain.rule import WORK_QUEUES, Priority


def seen(pressure: Pressure, depth: int) -> set[str]:
    pressure.see(dict.fromkeys(WORK_QUEUES, depth))
    return set(pressure.full)


def queues(*priorities: Priority) -> set[str]:
    return {queue for queue in WORK_QUEUES if priority_of(queue) in priorities}


def test_low_queues_are_full_before_normal_ones_and_these_before_high_ones() -> None:
    pressure = Pressure(100)
    assert seen(pressure, 99) == set()
    assert seen(pressure, 100) == queues(Priority.LOW)
    assert seen(pressure, 200) == queues(Priority.LOW, Priority.NORMAL)
    assert seen(pressure, 400) == set(WORK_QUEUES)


def test_a_full_queue_has_room_again_some_way_below_its_limit_and_both_are_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Given a full queue
    pressure = Pressure(100)
    with caplog.at_level(logging.WARNING, "notifier.intake"):
        pressure.see({"email-low": 100})
        # When it moves about its limit, then it stays full
        for depth in (99, 101, 80):
            pressure.see({"email-low": depth})
            assert pressure.full == {"email-low": depth}
        # And it is open when a fifth has gone
        pressure.see({"email-low": 79})
    assert pressure.full == {}
    told = [(record.message, record.fields["queue"]) for record in caplog.records]  # type: ignore[attr-defined]
    assert told == [("intake.slowed", "email-low"), ("intake.resumed", "email-low")]


def test_without_a_limit_nothing_is_looked_at() -> None:
    pressure = Pressure(0)
    pressure.use("email-low")

    assert not pressure.limits
    assert pressure.due() == []


def test_used_and_full_queues_are_looked_at_each_time_and_all_others_in_turn() -> None:
    # Given a consumer that has looked at all of them once, and found one full
    pressure = Pressure(100)
    assert pressure.due() == sorted(WORK_QUEUES)
    pressure.see({**dict.fromkeys(WORK_QUEUES, 0), "email-low": 100})

    # When it makes tasks for one of them
    looks = []
    for _ in range(2 * TURNS):
        pressure.use("webhook-high")
        looks.append(pressure.due())

    # Then that and the full one are in every look, a few others besides, and none is left out for long
    assert all({"webhook-high", "email-low"} <= set(look) for look in looks)
    assert max(map(len, looks)) <= 2 + len(WORK_QUEUES) // TURNS
    assert set().union(*looks) == set(WORK_QUEUES)


def test_a_full_queue_that_was_not_looked_at_stays_full() -> None:
    pressure = Pressure(100)
    pressure.see({"email-low": 100, "email-high": 0})

    pressure.see({"email-high": 0})

    assert pressure.full == {"email-low": 100}


@pytest.mark.parametrize("queue", WORK_QUEUES)
def test_every_work_queue_has_a_priority(queue: str) -> None:
    expected = next((p for p in Priority if f"-{p}" in queue), Priority.NORMAL)
    assert priority_of(queue) is expected
