"""When what was not tried looks again, for each reason to wait."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.look_again import LOOKS_PER_S, STEPS_S, NotNow, look_again, step

HELD = (NotNow.OPEN, NotNow.PENDING, NotNow.PROBED)
REASONS = st.sampled_from(NotNow)
SECONDS = st.floats(-1e9, 1e9)
LASTING = st.floats(0, 1e9)
CROWDS = st.integers(0, 10**9)
SPREADS = st.floats(-1, 1)


@pytest.mark.parametrize(
    ("why", "seconds", "age", "spread", "whole"),
    [
        # What is paused: a little after the pause, and not all at once; of a long one every minute or so.
        *((NotNow.PAUSED, 10.0, 0.0, spread, whole) for spread, whole in [(-1, 10), (0, 13), (1, 15)]),
        *((NotNow.PAUSED, 300.0, 0.0, spread, whole) for spread, whole in [(-1, 60), (1, 90)]),
        (NotNow.PAUSED, 0.01, 0.0, -1, 1),
        (NotNow.PAUSED, 0.0, 0.0, 1, 1),
        # An open endpoint: until its probe, and half as long as it has been open.
        *((NotNow.OPEN, 3.0, 0.0, spread, 4) for spread in (-1, 0, 1)),
        (NotNow.OPEN, 4.0, 0.0, -1, 4),
        (NotNow.OPEN, 4.0, 0.0, 1, 8),
        (NotNow.OPEN, -49.0, 50.0, 0, 32),
        (NotNow.OPEN, -1.0, 0.1, -1, 1),
        (NotNow.OPEN, 100_000.0, 0.0, 0, 64),
        # One that answers nothing: as long again as it has not.
        *((NotNow.PENDING, 0.0, age, 0, whole) for age, whole in [(0.3, 2), (2.0, 2), (2.1, 4), (14.0, 16), (1e6, 64)]),
        *((NotNow.PROBED, 0.0, 0.0, spread, 2) for spread in (-1, 1)),
        *((NotNow.LEFT_BEHIND, seconds, 0.0, 1, whole) for seconds, whole in [(17.2, 18), (17.0, 17), (300.5, 301)]),
        *((NotNow.BUSY, seconds, 0.0, 1, whole) for seconds, whole in [(0.2, 1), (7.1, 8), (500.0, 30)]),
        *((NotNow.NOT_DUE, seconds, 0.0, 1, whole) for seconds, whole in [(-3.0, 1), (7.1, 8), (86_400.0, 86_400)]),
        (NotNow.FULL, 0.0, 0.0, 1, 2),
        # In a limit's line: half a second early, in whole seconds that are never too many.
        *((NotNow.IN_LINE, seconds, 0.0, 1, whole) for seconds, whole in [(0.3, 1), (2.4, 1), (2.5, 2), (9.4, 8)]),
        *((NotNow.NO_PLACE, seconds, 0.0, 1, whole) for seconds, whole in [(0.3, 1), (2.9, 2), (120.0, 120)]),
        *((NotNow.BEYOND_LINE, 301.0, 0.0, spread, whole) for spread, whole in [(-1, 150), (0, 225), (1, 300)]),
        (NotNow.BEYOND_LINE, 1e9, 0.0, 1, 300),
    ],
)
def test_each_reason_has_its_wait(why: NotNow, seconds: float, age: float, spread: float, whole: int) -> None:
    assert look_again(why, seconds, age=age, spread=spread) == whole


@given(why=REASONS, seconds=SECONDS, age=LASTING, waiting=CROWDS, spread=SPREADS, at_most=SECONDS)
def test_it_is_whole_seconds_and_at_least_one(
    why: NotNow, seconds: float, age: float, waiting: int, spread: float, at_most: float
) -> None:
    whole = look_again(why, seconds, age=age, waiting=waiting, spread=spread, at_most=at_most)

    assert isinstance(whole, int)
    assert whole >= 1
    assert whole in STEPS_S or why not in HELD


@given(why=REASONS, one=SECONDS, other=SECONDS, age=LASTING, older=LASTING, few=CROWDS, many=CROWDS, spread=SPREADS)
def test_more_trouble_never_means_an_earlier_look(
    why: NotNow, one: float, other: float, age: float, older: float, few: int, many: int, spread: float
) -> None:
    (one, other), (age, older), (few, many) = sorted([one, other]), sorted([age, older]), sorted([few, many])

    assert look_again(why, one, age=age, waiting=few, spread=spread) <= look_again(
        why, other, age=older, waiting=many, spread=spread
    )


@given(why=REASONS, seconds=LASTING, one=SPREADS, other=SPREADS)
def test_what_is_spread_is_spread_by_half_of_its_wait_at_most(
    why: NotNow, seconds: float, one: float, other: float
) -> None:
    soon, late = sorted(look_again(why, seconds, spread=spread) for spread in (one, other))

    assert late <= 2 * soon + 1


@given(why=st.sampled_from(HELD), seconds=SECONDS, age=LASTING, waiting=CROWDS, spread=SPREADS, end=st.floats(0, 64))
def test_what_is_held_looks_again_as_often_as_a_worker_can_bear_but_not_after_the_trouble_has_ended(
    why: NotNow, seconds: float, age: float, waiting: int, spread: float, end: float
) -> None:
    whole = look_again(why, seconds, age=age, waiting=waiting, spread=spread)

    assert whole >= min(waiting / LOOKS_PER_S, STEPS_S[-1])
    assert look_again(why, seconds, age=age, waiting=waiting, spread=spread, at_most=end) <= step(end)


@given(why=st.sampled_from(sorted(set(NotNow) - set(HELD))), seconds=SECONDS, waiting=CROWDS)
def test_what_is_not_held_does_not_wait_for_the_crowd(why: NotNow, seconds: float, waiting: int) -> None:
    assert look_again(why, seconds, waiting=waiting) == look_again(why, seconds)


@given(seconds=st.floats(0, 64))
def test_a_step_is_less_than_twice_as_long(seconds: float) -> None:
    assert seconds <= step(seconds) < max(1.0001, 2 * seconds)


@pytest.mark.parametrize(("seconds", "whole"), [(0.0, 1), (1.0, 1), (1.1, 2), (33.0, 64), (64.5, 64), (math.inf, 64)])
def test_steps_are_few_powers_of_two(seconds: float, whole: int) -> None:
    assert step(seconds) == whole
