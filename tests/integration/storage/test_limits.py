"""Rate limits on a real Redis: what is granted, when, and that nothing is ever granted beyond the rate."""

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.domain.limit import Rate, Scope, ScopeKind, parse_rate
from notifier.storage import keys
from notifier.storage.connection import connect
from notifier.storage.limits import HORIZON_S, NEWCOMER_S, Ask, Go, Later, Limits, Usage
from notifier.storage.store import Store
from tests.integration.storage.limit_model import ModelLimits
from tests.integration.storage.making import Clock
from tests.servers.redis import RedisServer

RELAY = Scope(ScopeKind.RELAY, "mx.example.org:25")
DOMAIN = Scope(ScopeKind.DOMAIN, "example.org")
TENANT = Scope(ScopeKind.TENANT, "acme")
HUNDRED = parse_rate("100/s")


@pytest.fixture
def limits(store: Store, clock: Clock) -> Limits:
    return Limits(store, server_clock=clock)


def ask(*scopes: Scope, rate: Rate = HUNDRED, waited: str = "", urgent: bool = False) -> Ask:
    return Ask(tuple((scope, rate) for scope in scopes or (RELAY,)), waited, urgent)


def slow_down(store: Store, scope: Scope, factor: float, learned: float = 0) -> None:
    """As `storage.adaptive` writes it."""
    store.client.hset(keys.limits_adapted(), str(scope), f"{factor:.6f} {learned or 0} 0")
    store.client.incr(keys.limits_version())


def places(answers: list[Go | Later]) -> list[Later]:
    return [answer for answer in answers if isinstance(answer, Later)]


def test_a_rested_limit_lets_its_burst_go_at_once_and_spaces_what_follows(limits: Limits) -> None:
    # When thirteen ask a limit of 100/s, whose burst is 10
    answers = limits.reserve([ask()] * 13)
    # Then ten go at once and three each 10 ms after the one before
    assert answers == [Go(0.0)] * 10 + [Go(0.01), Go(0.02), Go(0.03)]


def test_what_cannot_go_within_two_seconds_gets_places_in_line_one_after_the_other(limits: Limits) -> None:
    # When more ask than can go soon
    answers = limits.reserve([ask()] * 300)
    # Then the first two seconds and the burst are granted, and the rest is spread behind them
    assert sum(isinstance(answer, Go) for answer in answers) == 210
    line = places(answers)
    assert [round(later.wait, 2) for later in line[:3]] == [2.01, 2.02, 2.03]
    assert all(later.placed for later in line)


def test_who_waited_in_line_goes_before_newcomers(limits: Limits, clock: Clock) -> None:
    # Given a line, and the time of its first places
    limits.reserve([ask()] * 400)
    clock.now += 2.0
    # When one of them comes back beside newcomers
    newcomer, waited = limits.reserve([ask(), ask(waited="r")])
    # Then it goes, and the newcomer stands behind the line
    assert waited == Go(0.0) or isinstance(waited, Go)
    assert isinstance(newcomer, Later)
    assert newcomer.wait > 1.8


def test_newcomers_take_what_those_in_line_leave(limits: Limits, clock: Clock) -> None:
    # Given a line whose first places are due, and nobody comes back for them
    limits.reserve([ask()] * 1000)
    clock.now += 3.0
    # When newcomers ask
    answers = limits.reserve([ask()] * 20)
    # Then some go although there is a line, because the rate would be lost otherwise
    assert [answer for answer in answers if isinstance(answer, Go)] == [Go(0.0)] * 5


def test_urgent_ones_do_not_stand_behind_the_line_of_others(limits: Limits) -> None:
    # Given minutes of others in line
    limits.reserve([ask()] * 20_000)
    # Then an urgent one goes within two seconds
    (answer,) = limits.reserve([ask(urgent=True)])
    assert isinstance(answer, Go)
    assert answer.wait <= NEWCOMER_S + 0.02


def test_beyond_the_horizon_nobody_gets_a_place(limits: Limits) -> None:
    # When more ask than fit into five minutes of a slow limit
    answers = places(limits.reserve([ask(rate=parse_rate("1/s"))] * 400))
    # Then those at the end have no place
    assert Counter(later.placed for later in answers) == {True: 298, False: 99}
    assert all(later.wait > HORIZON_S for later in answers if not later.placed)


def test_the_slowest_scope_decides_and_the_faster_ones_lose_nothing(limits: Limits) -> None:
    # Given a domain that is slower than the relay all mail goes through
    slow = Ask(((RELAY, HUNDRED), (DOMAIN, parse_rate("1/s"))))
    # When ten mails go to it
    answers = limits.reserve([slow] * 10)
    # Then three may go, the others wait for the domain, and the relay has only been used for three
    assert answers[:3] == [Go(0.0), Go(1.0), Go(2.0)]
    assert {later.scope for later in places(answers)} == {DOMAIN}
    assert sum(answer == Go(0.0) for answer in limits.reserve([ask()] * 10)) == 7


def test_a_place_in_one_line_is_none_in_another(limits: Limits, clock: Clock) -> None:
    # Given lines at the relay and at a domain
    limits.reserve([ask(RELAY)] * 400 + [ask(DOMAIN)] * 400)
    # When one comes back that waited for the domain only
    clock.now += 2
    (answer,) = limits.reserve([ask(RELAY, DOMAIN, waited="d")])
    # Then it stands in the relay's
    assert isinstance(answer, Later)
    assert (answer.scope, answer.placed) == (RELAY, True)


def test_without_room_for_short_waits_only_what_goes_at_once_goes(limits: Limits) -> None:
    # When nobody may sleep, a newcomer gets a place, and who waited before keeps theirs
    limits.reserve([ask()] * 15)
    newcomer, waited = limits.reserve([ask(), ask(waited="r")], sleeps=False)
    assert newcomer == Later(pytest.approx(0.06), RELAY, placed=True)
    assert waited == Later(pytest.approx(0.06), RELAY, placed=False)


def test_a_raised_rate_moves_the_line_up(limits: Limits) -> None:
    # Given a line of ten seconds at 100/s
    limits.reserve([ask()] * 1200)
    before = limits.reserve([ask()])[0].wait
    # When the rate is doubled
    after = limits.reserve([ask(rate=parse_rate("200/s"))])[0].wait
    # Then the next place is half as far away
    assert after == pytest.approx(before / 2, abs=0.02)


def test_a_clock_that_was_set_back_holds_nothing_up(limits: Limits, clock: Clock) -> None:
    # Given a limit in use
    limits.reserve([ask()] * 50)
    # When Redis fails over to a machine whose clock is an hour behind
    clock.now -= 3600
    # Then waits are seconds, not an hour
    assert limits.reserve([ask(urgent=True)])[0].wait < 5


def test_a_halved_scope_counts_from_the_next_reservation_on(limits: Limits, store: Store) -> None:
    # When a relay is slowed down by half
    slow_down(store, RELAY, 0.5)
    # Then it is half as fast, and that is seen
    assert limits.reserve([ask()] * 12)[10:] == [Go(0.02), Go(0.04)]
    assert limits.adapted()[RELAY].factor == 0.5


def test_a_scope_nobody_limits_can_be_slowed_down_from_a_learned_rate(limits: Limits, store: Store) -> None:
    # Given a domain without a limit that told us to slow down at 40 a second
    before = limits.picture()
    slow_down(store, DOMAIN, 0.5, learned=40)
    # Then workers see that there is a limit now, and it is half of that
    assert limits.picture(before).learned[DOMAIN].per_second == 40
    unlimited = Ask(((DOMAIN, None),))
    assert limits.reserve([unlimited] * 2) == [Go(0.0), Go(0.05)]
    # And when it is forgotten there is none
    assert limits.reset(DOMAIN)
    assert limits.picture().learned == {}
    assert limits.reserve([unlimited] * 1000) == [Go(0.0)] * 1000


def test_what_operators_set_is_seen_once_and_kept(limits: Limits) -> None:
    # When limits are set
    before = limits.picture()
    limits.set(RELAY, parse_rate("20/s burst 40"))
    limits.set(DOMAIN, None)
    # Then everyone who looks sees them
    seen = limits.picture(before)
    assert seen.live == {RELAY: parse_rate("20/s burst 40"), DOMAIN: None}
    assert limits.picture(seen) is seen
    # And a reset takes them back, once
    assert [limits.reset(RELAY), limits.reset(RELAY)] == [True, False]
    assert limits.picture(seen).live == {DOMAIN: None}


def test_usage_shows_lines_and_leaves_single_recipients_out(store: Store) -> None:
    # Given limits in use, on Redis's own clock
    limits = Limits(store)
    limits.reserve([ask()] * 1000 + [ask(Scope(ScopeKind.RECIPIENT, "rcp_x"))] * 5)
    # Then the relay's line is seen
    ((scope, usage),) = limits.usage().items()
    assert scope == RELAY
    assert usage == Usage(pytest.approx(990, abs=30), pytest.approx(9.9, abs=0.3))


def test_nothing_is_kept_of_a_limit_that_rests(limits: Limits, store: Store) -> None:
    # Given a limit that was used for one delivery
    limits.reserve([ask()])
    # Then its state ends by itself within about a second
    (name,) = store.client.keys("*:s:*")
    assert 0 < store.client.pttl(name) <= 1200


def test_a_batch_over_many_scopes_takes_one_round_trip(limits: Limits, store: Store) -> None:
    limits.reserve([ask()])
    before = store.round_trips
    limits.reserve([ask(RELAY, Scope(ScopeKind.DOMAIN, f"d{i}.org"), TENANT) for i in range(500)])
    assert store.round_trips - before == 1


def test_workers_that_ask_at_once_get_no_more_than_the_rate(redis_url: str) -> None:
    # Given eight workers with connections of their own
    stores = [connect(redis_url) for _ in range(8)]
    # When all ask on Redis's own clock
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda store: Limits(store).reserve([ask()] * 20), stores))
    # Then of 160 the burst goes at once and the rest is spread over the seconds that follow
    waits = sorted(answer.wait for group in answers for answer in group)
    assert waits[-1] > 1.2
    for store in stores:
        store.close()


RATES = st.sampled_from(["100/s", "1/s", "3/s burst 5", "50/s burst 1", "10/m burst 3", "1000/s", "7/10s burst 2"])
SCOPES = st.sampled_from([RELAY, DOMAIN, TENANT])
ASKS = st.builds(
    lambda scopes, waited, urgent: (tuple(scopes), waited, urgent),
    st.lists(SCOPES, min_size=1, max_size=3, unique=True),
    st.sampled_from(["", "r", "d", "rdt"]),
    st.booleans(),
)
STEPS = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0.0, 5.0), st.floats(0.0, 400.0)),
        st.lists(ASKS, min_size=1, max_size=30),
        st.integers(1, 12),
        st.booleans(),
        st.one_of(st.none(), st.tuples(SCOPES, RATES), st.tuples(SCOPES, st.sampled_from([0.25, 0.5, 0.9]))),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, start=st.tuples(RATES, RATES, RATES))
def test_the_script_answers_as_the_plain_python_model_does(
    redis_server: RedisServer, store: Store, steps: list, start: tuple
) -> None:
    # Given the model and the script, on one clock, and rates that change meanwhile
    redis_server.flush()
    clock, model = Clock(), ModelLimits()
    limits = Limits(store, server_clock=clock)
    rates = {scope: parse_rate(text) for scope, text in zip((RELAY, DOMAIN, TENANT), start, strict=True)}
    for passed, asks, repeats, sleeps, change in steps:
        clock.now = round(clock.now + passed, 6)
        match change:
            # Of a scope in use: how much one that rests may have saved up depends on whether Redis still knows it.
            case (scope, _) if not model.is_busy(scope, clock.now * 1e6):
                pass
            case (scope, str(text)):
                rates[scope] = parse_rate(text)
            case (scope, float(factor)):
                model.factors[scope] = factor
                slow_down(store, scope, factor)
        batch = [
            Ask(tuple((scope, rates[scope]) for scope in scopes), waited, urgent) for scopes, waited, urgent in asks
        ] * repeats
        # When both are asked
        answers = limits.reserve(batch, sleeps=sleeps)
        expected = model.reserve(batch, round(clock.now * 1e6), sleeps=sleeps)
        # Then they agree to the microsecond or so: kept state is rounded to hundredths of one
        for answer, wanted in zip(answers, expected, strict=True):
            assert type(answer) is type(wanted)
            assert answer.wait == pytest.approx(wanted.wait / 1e6, abs=2e-5)
            if isinstance(answer, Later) and isinstance(wanted, Later):
                assert (answer.scope, answer.placed) == (wanted.scope, wanted.placed)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.floats(0.0, 3.0), st.integers(1, 400), st.sampled_from(["", "r"]), st.booleans(), st.booleans()),
        min_size=1,
        max_size=20,
    ),
    text=RATES,
)
def test_no_window_of_any_length_holds_more_than_the_rate_and_the_burst(
    redis_server: RedisServer, store: Store, steps: list, text: str
) -> None:
    # Given any pattern of asking, by newcomers and by those who waited, urgent or not
    redis_server.flush()
    clock, rate = Clock(), parse_rate(text)
    limits = Limits(store, server_clock=clock)
    granted: list[float] = []
    for passed, number, waited, urgent, sleeps in steps:
        clock.now = round(clock.now + passed, 6)
        answers = limits.reserve([ask(rate=rate, waited=waited, urgent=urgent)] * number, sleeps=sleeps)
        granted += [clock.now + answer.wait for answer in answers if isinstance(answer, Go)]
    # Then between any two grants lie at most the rate's worth and the burst
    ahead = [number - moment * rate.per_second for number, moment in enumerate(sorted(granted))]
    least = math.inf
    for one in ahead:
        least = min(least, one)
        assert one - least + 1 <= rate.burst + 0.01
