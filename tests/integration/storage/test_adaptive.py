"""Rates found by trying: halved by complaints, raised by success, shared by all workers, forgotten when all is well."""

from collections.abc import Callable

import pytest

from notifier.domain.limit import Rate, Scope, ScopeKind
from notifier.storage.adaptive import (
    CUT_APART_S,
    FORGOTTEN_AFTER_S,
    FORGOTTEN_AT,
    LEAST_PER_SECOND,
    NEARLY,
    RECOVERY_STEPS,
    AdaptiveRates,
)
from notifier.storage.limits import Ask, Go, Later, Limits
from notifier.storage.store import Store
from tests.integration.storage.making import Clock

RELAY = Scope(ScopeKind.RELAY, "relay:25")
GMAIL = Scope(ScopeKind.DOMAIN, "gmail.com")

Crowd = Callable[..., list[Go | Later]]


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


@pytest.fixture
def crowd(limits: Limits) -> Crowd:
    """So many deliveries want to go through a scope at once."""

    def ask(number: int = 200, scope: Scope = RELAY, rate: Rate | None = None) -> list[Go | Later]:
        return limits.reserve([Ask(scopes=((scope, rate),)) for _ in range(number)])

    return ask


def succeed(rates: AdaptiveRates, clock: Clock, crowd: Crowd, seconds: int) -> None:
    """Seconds in which mails went through the relay and others waited."""
    for _ in range(seconds):
        crowd()
        clock.now += 1
        rates.raise_([RELAY])


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
    assert not rates.slow(RELAY, measured=40)
    assert in_force(limits) == pytest.approx(25)
    clock.now += 0.1
    assert rates.slow(RELAY, measured=40)
    assert in_force(limits) == pytest.approx(12.5)


def test_a_rate_is_searched_quickly_and_then_kept_around_where_it_was_too_high(
    rates: AdaptiveRates, limits: Limits, clock: Clock, crowd: Crowd
) -> None:
    # Given a first guess far too low for a relay that bears 50 a second
    rates.slow(RELAY, measured=4)
    found = 0
    while in_force(limits) <= 50:
        succeed(rates, clock, crowd, 1)
        found += 1

    # Then it was found within some seconds
    assert found <= 13
    # And after it was told so, the rate is back near there soon, stays a little below for long, and then goes beyond
    too_high = in_force(limits)
    clock.now += CUT_APART_S
    rates.slow(RELAY, measured=50)
    assert in_force(limits) == pytest.approx(too_high / 2, rel=0.01)
    course = []
    for _ in range(2 * RECOVERY_STEPS):
        succeed(rates, clock, crowd, 1)
        course.append(in_force(limits))
    assert course == sorted(course)
    assert course[RECOVERY_STEPS // 2] > 0.89 * too_high
    assert course[RECOVERY_STEPS - 1] == pytest.approx(NEARLY * too_high, rel=0.01)
    assert course[RECOVERY_STEPS + 5] < too_high
    assert course[-1] == pytest.approx((NEARLY + 0.5) * too_high, rel=0.01)


def test_raises_of_many_workers_count_once_a_second(
    rates: AdaptiveRates, limits: Limits, clock: Clock, crowd: Crowd
) -> None:
    rates.slow(RELAY, measured=50)
    crowd()
    clock.now += 1

    for _ in range(10):
        rates.raise_([RELAY])

    assert in_force(limits) == pytest.approx(25 * 1.3, rel=0.001)


def test_a_learned_rate_that_is_long_enough_not_complained_about_is_forgotten(
    rates: AdaptiveRates, limits: Limits, clock: Clock, crowd: Crowd
) -> None:
    rates.slow(RELAY, measured=50)

    succeed(rates, clock, crowd, 15)

    # It has grown to this many times what got through, and counts no more
    assert FORGOTTEN_AT < 1.3**15 / 2
    assert limits.adapted() == {}
    assert limits.picture().learned == {}
    assert rates.raise_([RELAY]) == 0


def test_a_configured_rate_is_halved_and_comes_back_to_itself(
    rates: AdaptiveRates, limits: Limits, clock: Clock, crowd: Crowd
) -> None:
    # Given a limit of 100 a second that the relay finds too high
    rates.slow(RELAY, measured=0)

    # Then half of it is granted
    assert limits.adapted()[RELAY].factor == 0.5
    assert limits.adapted()[RELAY].learned is None
    configured = Rate(100, 1, "100/s")
    answers = crowd(6, rate=configured)
    assert [a.wait for a in answers if isinstance(a, Go)] == pytest.approx([i * 0.02 for i in range(6)])

    # And eight seconds after it is nearly back, all of it again
    for _ in range(RECOVERY_STEPS + 8):
        crowd(rate=configured)
        clock.now += 1
        rates.raise_([RELAY])
    assert limits.adapted() == {}


def test_each_domain_is_slowed_down_apart(rates: AdaptiveRates, limits: Limits, clock: Clock, crowd: Crowd) -> None:
    rates.slow(GMAIL, measured=8)
    rates.slow(RELAY, measured=80)
    crowd(scope=GMAIL)
    clock.now += 1

    assert rates.raise_([GMAIL, Scope(ScopeKind.DOMAIN, "well.example")]) == 1

    assert in_force(limits, GMAIL) == pytest.approx(5.2)
    assert in_force(limits) == pytest.approx(40)


def test_a_clock_that_was_set_back_stops_nothing(
    rates: AdaptiveRates, limits: Limits, clock: Clock, crowd: Crowd
) -> None:
    rates.slow(RELAY, measured=50)
    crowd()
    clock.now -= 3600

    rates.raise_([RELAY])
    rates.slow(RELAY, measured=50)

    assert in_force(limits) == pytest.approx(25 * 1.3 / 2)


def test_no_learned_rate_falls_to_nothing(rates: AdaptiveRates, limits: Limits, clock: Clock, crowd: Crowd) -> None:
    for _ in range(30):
        clock.now += CUT_APART_S
        rates.slow(RELAY, measured=1)

    assert in_force(limits) == pytest.approx(LEAST_PER_SECOND)


def test_success_while_nothing_waits_says_nothing_and_in_time_the_rate_is_forgotten(
    rates: AdaptiveRates, limits: Limits, clock: Clock, crowd: Crowd
) -> None:
    # Given a learned rate of 25 a second, and one mail now and then
    rates.slow(RELAY, measured=50)
    crowd(1)

    # When they go through
    clock.now += FORGOTTEN_AFTER_S - 1
    assert rates.raise_([RELAY]) == 1

    # Then the rate stays, and some minutes later it is forgotten
    assert in_force(limits) == pytest.approx(25)
    clock.now += 1
    assert rates.raise_([RELAY]) == 0
    assert limits.adapted() == {}


def test_while_a_rate_is_searched_deliveries_come_back_as_fast_as_it_may_grow(
    rates: AdaptiveRates, crowd: Crowd
) -> None:
    # Given a first guess of 5 a second, at which 1,500 mails would take five minutes
    rates.slow(RELAY, measured=10)

    # When they all want to go
    answers = crowd(1500)

    # Then some seconds' worth of them have places, and all come back within seconds
    placed = [a for a in answers if isinstance(a, Later) and a.placed]
    assert 20 <= len(placed) <= 45
    assert max(a.wait for a in placed) < 8.1
    assert max(a.wait for a in answers) < 20


def test_around_a_known_rate_twice_as_many_come_back_as_may_go(
    rates: AdaptiveRates, limits: Limits, clock: Clock, crowd: Crowd
) -> None:
    # Given a relay that was found to bear about 100 a second
    rates.slow(RELAY, measured=100)
    clock.now += CUT_APART_S
    rates.slow(RELAY, measured=100)
    rate = in_force(limits)

    # When very many want to go
    waits = sorted(a.wait for a in crowd(3000))

    # Then those without a place come back at twice the rate, and none later than in two minutes
    away = [wait for wait in waits if wait > 8.1]
    assert len([w for w in away if 20 <= w < 30]) == pytest.approx(20 * rate, rel=0.05)
    assert max(crowd(30_000), key=lambda a: a.wait).wait == pytest.approx(120, abs=0.1)


def test_workers_whose_clocks_differ_a_little_cut_once_and_raise_once_a_second(
    store: Store, limits: Limits, clock: Clock, crowd: Crowd
) -> None:
    # Given two workers, the second one's clock a quarter of a second behind
    first, second = AdaptiveRates(store, clock), AdaptiveRates(store, lambda: clock.now - 0.25)

    # When both are told so in the same moment
    assert first.slow(RELAY, measured=9)
    assert not second.slow(RELAY, measured=11)

    # Then what they got through is added up, not cut twice
    assert in_force(limits) == pytest.approx(10)
    # And each second one of them raises it
    for _ in range(3):
        crowd()
        clock.now += 1
        first.raise_([RELAY])
        second.raise_([RELAY])
    assert in_force(limits) == pytest.approx(10 * 1.3**3, rel=0.001)


def test_at_a_slow_rate_each_mail_speaks_for_the_seconds_since_the_last(
    rates: AdaptiveRates, limits: Limits, clock: Clock, crowd: Crowd
) -> None:
    rates.slow(RELAY, measured=1)
    crowd(10)

    clock.now += 4
    rates.raise_([RELAY])

    assert in_force(limits) == pytest.approx(0.5 * 1.3**4, rel=0.001)
