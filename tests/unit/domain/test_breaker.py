"""When an endpoint is left alone, probed and sent to again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.breaker import (
    ASIDE_AFTER_S,
    FIRST_WAIT_S,
    LEAST_FAILURES,
    LONGEST_WAIT_S,
    WINDOW_S,
    Breaker,
    Observed,
    begin_probe,
    observe,
)
from notifier.domain.retry import MAX_RETRY_AFTER_S

NOW = 1_000_000.0
FAILED, OK = Observed(failed=1, code="timeout"), Observed(ok=1)

observations = st.builds(
    Observed,
    ok=st.integers(0, 50),
    failed=st.integers(0, 50),
    wait=st.just(0.0) | st.floats(0.001, 1e9),
    too_much=st.booleans(),
    code=st.sampled_from(["timeout", "http_503"]),
)


def after(*seen: Observed, breaker: Breaker | None = None, now: float = NOW) -> Breaker | None:
    """What is remembered after observations that come at once."""
    for one in seen:
        breaker = observe(breaker, one, now)
    return breaker


def opened(now: float = NOW) -> Breaker:
    breaker = after(*[FAILED] * LEAST_FAILURES, now=now)
    assert breaker is not None
    assert breaker.is_open
    return breaker


@given(st.lists(st.tuples(observations, st.floats(0, 1e6)), max_size=30))
def test_an_endpoint_that_only_succeeds_is_never_remembered_and_only_a_failure_opens(
    history: list[tuple[Observed, float]],
) -> None:
    breaker, now = None, NOW
    for seen, pause in history:
        now += pause
        before, breaker = breaker, observe(breaker, seen, now)
        if before is None and not seen.failed:
            assert breaker is None
        if breaker is not None and breaker.is_open and (before is None or not before.is_open):
            assert seen.failed


@given(st.lists(st.tuples(observations, st.booleans(), st.floats(0, 1e6)), min_size=1, max_size=40))
def test_whatever_happens_an_open_endpoint_may_be_probed_within_a_day_by_exactly_one(
    history: list[tuple[Observed, bool, float]],
) -> None:
    # Given any history, in which probes are begun and end in any way
    breaker: Breaker | None = opened()
    now = NOW
    for number, (seen, probes, pause) in enumerate(history):
        now += pause
        token = ""
        if probes and breaker is not None:
            breaker = begin_probe(breaker, f"probe-{number}", now, 30.0)
            token = breaker.probe if breaker else ""
        breaker = observe(breaker, replace(seen, probe=token), now)

    # Then an open breaker is due for a probe a day later at the latest
    if breaker is not None and breaker.is_open:
        later = now + MAX_RETRY_AFTER_S + 1
        assert breaker.probe_is_due(later)
        # And when one has it, nobody else does until its lease has ended
        probing = begin_probe(breaker, "one", later, 30.0)
        assert probing is not None
        assert probing.probe == "one"
        assert begin_probe(probing, "two", later + 29, 30.0) == probing
        taken_over = begin_probe(probing, "two", later + 31, 30.0)
        assert taken_over is not None
        assert taken_over.probe == "two"


@given(st.integers(0, 3000))
def test_each_failed_probe_doubles_the_wait_up_to_a_quarter_of_an_hour(failures: int) -> None:
    breaker = replace(opened(), openings=failures + 1, until=NOW)
    probing = begin_probe(breaker, "p", NOW, 30.0)
    again = observe(probing, replace(FAILED, probe="p"), NOW)

    assert again is not None
    wait = again.until - NOW
    assert wait == min(FIRST_WAIT_S * 2.0 ** min(failures + 1, 30), LONGEST_WAIT_S)
    assert not again.probe


def test_it_opens_at_five_failures_that_are_half_of_all_tries() -> None:
    few = after(*[FAILED] * (LEAST_FAILURES - 1))
    assert few is not None
    assert not few.is_open
    assert opened().until == NOW + FIRST_WAIT_S

    # And not while most tries succeed
    mixed = after(*[FAILED, OK, OK] * 20)
    assert mixed is not None
    assert not mixed.is_open


def test_counts_start_anew_after_a_window_in_which_something_succeeded() -> None:
    # Given four failures and a success
    breaker = after(*[FAILED] * 4, OK)

    # When the window has ended, a success forgets it and a failure counts as the first
    assert after(OK, breaker=breaker, now=NOW + WINDOW_S + 1) is None
    first = after(FAILED, breaker=breaker, now=NOW + WINDOW_S + 1)
    assert first is not None
    assert (first.failed, first.ok) == (1, 0)


def test_an_endpoint_that_gets_one_webhook_an_hour_opens_too() -> None:
    breaker = None
    for hour in range(LEAST_FAILURES):
        assert breaker is None or not breaker.is_open
        breaker = observe(breaker, FAILED, NOW + hour * 3600)
    assert breaker is not None
    assert breaker.is_open
    assert breaker.failing_since == NOW


@pytest.mark.parametrize("seen", [Observed(failed=1, wait=60.0), Observed(failed=1, too_much=True)])
def test_one_429_or_503_is_enough_and_whoever_says_how_long_gets_that(seen: Observed) -> None:
    breaker = after(seen)

    assert breaker is not None
    assert breaker.is_open
    assert breaker.until == NOW + (seen.wait or FIRST_WAIT_S)


def test_a_longer_rest_wins_whichever_answer_comes_last_and_a_day_is_the_most() -> None:
    short, long = Observed(failed=1, wait=10.0), Observed(failed=1, wait=60.0)

    for answers in ((short, long), (long, short)):
        breaker = after(*answers)
        assert breaker is not None
        assert breaker.until == NOW + 60
    absurd = after(Observed(failed=1, wait=1e9))
    assert absurd is not None
    assert absurd.until == NOW + MAX_RETRY_AFTER_S


def test_only_its_own_probe_closes_it() -> None:
    # Given an open breaker whose probe is under way
    probing = begin_probe(opened(), "mine", NOW + FIRST_WAIT_S, 30.0)
    assert probing is not None

    # Then successes of tries that began before do not close it, nor those of a probe that was lost
    for stranger in (OK, replace(OK, probe="lost")):
        still = observe(probing, stranger, NOW + FIRST_WAIT_S)
        assert still is not None
        assert still.is_open
    # And the probe does
    assert observe(probing, replace(OK, probe="mine"), NOW + FIRST_WAIT_S) is None


def test_a_probe_that_could_not_be_sent_is_somebody_elses_turn_at_once() -> None:
    probing = begin_probe(opened(), "mine", NOW + FIRST_WAIT_S, 30.0)

    given_up = observe(probing, Observed(probe="mine"), NOW + FIRST_WAIT_S)

    assert given_up is not None
    assert given_up.probe_is_due(NOW + FIRST_WAIT_S)
    assert given_up.openings == 1


def test_a_success_ends_the_time_of_failing_and_days_of_failures_do_not() -> None:
    days = after(FAILED, breaker=after(FAILED), now=NOW + 5 * 86400)
    assert days is not None
    assert days.failing_since == NOW

    well = after(Observed(ok=1, failed=1), breaker=days, now=NOW + 6 * 86400)
    assert well is not None
    assert well.failing_since == NOW + 6 * 86400


def test_deliveries_stay_away_until_the_next_probe_and_are_put_aside_after_a_minute() -> None:
    breaker = replace(opened(), until=NOW + 100_000)
    soon = replace(breaker, until=NOW + 1)

    assert soon.left(NOW + 50) == -49
    assert replace(soon, probe="a", lease=NOW + 60).left(NOW + 50) == 10
    assert breaker.left(NOW) == 100_000
    assert soon.is_long(NOW + ASIDE_AFTER_S + 1)
    assert not soon.is_long(NOW + ASIDE_AFTER_S - 1)
    assert breaker.is_long(NOW), "it asked for more than that"


@pytest.mark.parametrize(
    ("breaker", "said"),
    [
        (Breaker(ok=3, failed=1, code="timeout"), "failing: 1 of 4 lately, last timeout"),
        (Breaker(opened=NOW, until=NOW + 30, code="http_503"), "left alone for 30 s, after http_503"),
        (Breaker(opened=NOW, until=NOW, probe="x", code="http_503"), "probed just now, after http_503"),
    ],
)
def test_it_says_what_it_is(breaker: Breaker, said: str) -> None:
    assert breaker.describe(NOW) == said
