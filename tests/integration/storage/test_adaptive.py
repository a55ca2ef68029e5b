"""Rates found by trying: halved by complaints, raised by success, shared by all workers, forgotten when all is well."""

import pytest

from notifier.domain.limit import Kind, Rate, Scope
from notifier.storage.adaptive import CUT_APART_S, FORGOTTEN_AT, LEAST_PER_SECOND, RECOVERY_STEPS, AdaptiveRates
from notifier.storage.limits import Ask, Go, Limits
from notifier.storage.store import Store
from tests.integration.storage.making import Clock

RELAY = Scope(Kind.RELAY, "relay:25")
GMAIL = Scope(Kind.DOMAIN, "gmail.com")


@pytest.fixture
def rates(store: Store, clock: Clock) -> AdaptiveRates:
    return AdaptiveRates(store, clock)


@pytest.fixture
def limits(store: Store) -> Limits:
    return Limits(store)


def in_force(limits: Limits, scope: Scope = RELAY) -> float:
    """Mails a second, of a scope that nobody configured."""
    found = limits.adapted()[scope]
    assert found.learned is not None
    return found.factor * found.learned.per_second


def succeed(rates: AdaptiveRates, clock: Clock, seconds: int, scope: Scope = RELAY) -> None:
    for _ in range(seconds):
        clock.now += 1
        rates.raise_([scope])


def test_the_first_complaint_leaves_half_of_what_got_through(rates: AdaptiveRates, limits: Limits) -> None:
    rates.slow(RELAY, measured=50)

    assert in_force(limits) == pytest.approx(25)
    # And every worker sees that there is a limit now
    assert RELAY in limits.picture().learned


def test_what_several_workers_got_through_in_the_same_moment_is_added_up(
    rates: AdaptiveRates, limits: Limits, clock: Clock
) -> None:
    for measured in (20, 30, 40, 10):
        clock.now += 0.1
        rates.slow(RELAY, measured=measured)

    assert in_force(limits) == pytest.approx(50)


def test_complaints_about_what_was_under_way_cut_once(rates: AdaptiveRates, limits: Limits, clock: Clock) -> None:
    # Given a rate that was found
    rates.slow(RELAY, measured=100)
    clock.now += CUT_APART_S
    rates.slow(RELAY, measured=40)
    assert in_force(limits) == pytest.approx(25)

    # When more complaints come within the moment, Then nothing is cut or added; after it, it is cut again
    clock.now += CUT_APART_S - 0.1
    rates.slow(RELAY, measured=40)
    assert in_force(limits) == pytest.approx(25)
    clock.now += 0.1
    rates.slow(RELAY, measured=40)
    assert in_force(limits) == pytest.approx(12.5)


def test_a_rate_is_searched_quickly_and_then_kept_around_where_it_was_too_high(
    rates: AdaptiveRates, limits: Limits, clock: Clock
) -> None:
    # Given a first guess far too low for a relay that bears 50 a second
    rates.slow(RELAY, measured=4)
    found = 0
    while in_force(limits) <= 50:
        succeed(rates, clock, 1)
        found += 1

    # Then it was found within some seconds
    assert found <= 13
    # And after it was told so, the rate is back near there soon, and stays near for long
    too_high = in_force(limits)
    clock.now += 1
    rates.slow(RELAY, measured=50)
    assert in_force(limits) == pytest.approx(too_high / 2, rel=0.01)
    course = []
    for _ in range(2 * RECOVERY_STEPS):
        succeed(rates, clock, 1)
        course.append(in_force(limits))
    assert course == sorted(course)
    assert course[RECOVERY_STEPS // 2] > 0.9 * too_high
    assert course[RECOVERY_STEPS - 1] == pytest.approx(too_high, rel=0.01)
    assert course[-1] == pytest.approx(1.5 * too_high, rel=0.01)


def test_raises_of_many_workers_count_once_a_second(rates: AdaptiveRates, limits: Limits, clock: Clock) -> None:
    rates.slow(RELAY, measured=50)
    clock.now += 1

    for _ in range(10):
        rates.raise_([RELAY])

    assert in_force(limits) == pytest.approx(25 * 1.3, rel=0.001)


def test_a_learned_rate_that_is_long_enough_not_complained_about_is_forgotten(
    rates: AdaptiveRates, limits: Limits, clock: Clock
) -> None:
    rates.slow(RELAY, measured=50)

    succeed(rates, clock, 15)

    # It has grown to this many times what got through, and counts no more
    assert FORGOTTEN_AT < 1.3**15 / 2
    assert limits.adapted() == {}
    assert limits.picture().learned == {}
    assert rates.raise_([RELAY]) == 0


def test_a_configured_rate_is_halved_and_comes_back_to_itself(
    rates: AdaptiveRates, limits: Limits, clock: Clock
) -> None:
    # Given a limit of 100 a second that the relay finds too high
    rates.slow(RELAY, measured=0)

    # Then half of it is granted
    assert limits.adapted()[RELAY].factor == 0.5
    assert limits.adapted()[RELAY].learned is None
    configured = Rate(100, 1, "100/s")
    asks = [Ask(scopes=((RELAY, configured),)) for _ in range(6)]
    answers = limits.reserve(asks)
    assert [a.wait for a in answers if isinstance(a, Go)] == pytest.approx([i * 0.02 for i in range(6)])

    # And in some seconds all of it again
    succeed(rates, clock, RECOVERY_STEPS)
    assert limits.adapted() == {}


def test_each_domain_is_slowed_down_apart(rates: AdaptiveRates, limits: Limits, clock: Clock) -> None:
    rates.slow(GMAIL, measured=8)
    rates.slow(RELAY, measured=80)
    clock.now += 1

    assert rates.raise_([GMAIL, Scope(Kind.DOMAIN, "well.example")]) == 1

    assert in_force(limits, GMAIL) == pytest.approx(5.2)
    assert in_force(limits) == pytest.approx(40)


def test_a_clock_that_was_set_back_stops_nothing(rates: AdaptiveRates, limits: Limits, clock: Clock) -> None:
    rates.slow(RELAY, measured=50)
    clock.now -= 3600

    rates.raise_([RELAY])
    rates.slow(RELAY, measured=50)

    assert in_force(limits) == pytest.approx(25 * 1.3 / 2)


def test_no_learned_rate_falls_to_nothing(rates: AdaptiveRates, limits: Limits, clock: Clock) -> None:
    for _ in range(30):
        clock.now += 2
        rates.slow(RELAY, measured=1)

    assert in_force(limits) == pytest.approx(LEAST_PER_SECOND)
