"""When to try again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.outcome import Deferred
from notifier.domain.retry import (
    EMAIL_SCHEDULE,
    MAX_RETRY_AFTER_S,
    WEBHOOK_SCHEDULE,
    Exhausted,
    RetryIn,
    RetrySchedule,
    TooLate,
    decide_retry,
    few,
)


@given(
    st.lists(st.floats(0.001, 1e6), max_size=12).map(tuple),
    st.integers(1, 20),
    st.none() | st.floats(-1e9, 1e12, allow_nan=False),
    st.floats(-1, 1),
)
def test_a_delay_is_always_whole_seconds_of_at_least_one_and_at_most_a_day_beyond_the_schedule(
    delays: tuple[float, ...], tries: int, retry_after: float | None, spread: float
) -> None:
    decision = decide_retry(
        RetrySchedule(delays), tries, Deferred("x", retry_after=retry_after), now=0, expires=None, spread=spread
    )

    if tries > len(delays):
        assert decision == Exhausted()
    else:
        assert isinstance(decision, RetryIn)
        assert 1 <= decision.seconds <= (max(delays[tries - 1] * 1.2, MAX_RETRY_AFTER_S) + 1) * 17 / 16


def test_jitter_spreads_what_failed_together_by_a_fifth_each_way() -> None:
    schedule = RetrySchedule((100.0,))

    early = decide_retry(schedule, 1, Deferred("x"), now=0, expires=None, spread=-1)
    late = decide_retry(schedule, 1, Deferred("x"), now=0, expires=None, spread=1)

    assert (early, late) == (RetryIn(80), RetryIn(120))


def test_a_try_that_would_come_at_or_after_the_expiry_is_not_made() -> None:
    schedule = RetrySchedule((10.0,), jitter=0)

    assert decide_retry(schedule, 1, Deferred("x"), now=0, expires=10, spread=0) == TooLate()
    assert decide_retry(schedule, 1, Deferred("x"), now=0, expires=11, spread=0) == RetryIn(10)


def test_a_try_that_would_come_in_time_is_not_too_late_because_of_those_it_travels_with() -> None:
    schedule = RetrySchedule((299.0,), jitter=0)

    assert decide_retry(schedule, 1, Deferred("x"), now=0, expires=None, spread=0) == RetryIn(300)
    assert decide_retry(schedule, 1, Deferred("x"), now=0, expires=300, spread=0) == RetryIn(299)


def test_the_default_schedules_last_three_days_and_twenty_eight_hours() -> None:
    assert 2.5 * 86400 < sum(EMAIL_SCHEDULE.delays) < 3.5 * 86400
    assert 27 * 3600 < sum(WEBHOOK_SCHEDULE.delays) < 30 * 3600


def test_a_greylisted_mail_comes_back_after_the_servers_delay_and_then_by_its_schedule() -> None:
    schedule = RetrySchedule((30, 600), jitter=0.2)
    greylisted = Deferred("x", in_vain_for=300)

    seconds = [decide_retry(schedule, 1, greylisted, now=0, expires=None, spread=spread) for spread in (-1, 0, 1)]
    second = decide_retry(schedule, 2, greylisted, now=0, expires=None, spread=0)

    assert seconds == [RetryIn(300), RetryIn(330), RetryIn(360)]
    assert second == RetryIn(600)
    assert decide_retry(schedule, 3, greylisted, now=0, expires=None, spread=0) == Exhausted()
    # And one that cannot wait so long tries all the same
    assert decide_retry(schedule, 1, greylisted, now=0, expires=200, spread=0) == RetryIn(30)
    assert decide_retry(schedule, 1, greylisted, now=0, expires=20, spread=0) == TooLate()


@given(st.integers(1, 400_000))
def test_delays_are_few_different_ones_never_earlier_and_at_most_a_sixteenth_later(seconds: int) -> None:
    assert seconds <= few(seconds) <= seconds * 17 / 16


def test_between_an_hour_and_two_there_are_thirty_delays_at_most() -> None:
    assert len({few(seconds) for seconds in range(3600, 7200)}) <= 31


@pytest.mark.parametrize("schedule", [WEBHOOK_SCHEDULE, EMAIL_SCHEDULE])
def test_the_delays_of_the_schedules_are_such(schedule: RetrySchedule) -> None:
    assert [few(int(delay)) for delay in schedule.delays] == list(schedule.delays)
