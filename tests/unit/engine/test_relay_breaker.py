"""Whether a relay may be used now, and who finds out whether it is well again."""

import pytest

from notifier.engine.relay_breaker import (
    FAILURES_IN_A_ROW,
    FIRST_COOL_DOWN_S,
    LOGIN_COOL_DOWN_S,
    LONGEST_COOL_DOWN_S,
    PROBE_LOOK_S,
    PROBE_PATIENCE_S,
    REST_S,
    RelayBreaker,
)
from notifier.engine.transaction import Phase
from tests.unit.engine.factories import ACCEPTED, RELAY, Clock, broken, mail, refusal

DENIED = refusal(Phase.RCPT, "554 5.7.1 Relaying denied")
NO_USER = refusal(Phase.RCPT, "550 5.1.1 no such user")
TOO_FAST = refusal(Phase.MAIL, "451 4.7.0 Too many messages, slow down")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> RelayBreaker:
    return RelayBreaker(RELAY, clock)


def break_often(breaker: RelayBreaker, times: int) -> None:
    for number in range(times):
        breaker.ended(mail(f"{number}@example.org"), broken())


def test_it_opens_at_the_failure_that_is_one_too_many_in_a_row(breaker: RelayBreaker) -> None:
    break_often(breaker, FAILURES_IN_A_ROW - 1)
    assert breaker.passes

    break_often(breaker, 1)

    assert not breaker.state.up
    paused = breaker.admits(mail("new@example.org"))
    assert paused is not None
    assert (paused.down, paused.seconds) == (True, FIRST_COOL_DOWN_S)


@pytest.mark.parametrize("answer", [ACCEPTED, NO_USER], ids=["accepted", "at work"])
def test_what_shows_it_at_work_begins_the_count_anew(breaker: RelayBreaker, answer: object) -> None:
    break_often(breaker, FAILURES_IN_A_ROW - 1)

    breaker.ended(mail(), answer)  # type: ignore[arg-type]
    break_often(breaker, FAILURES_IN_A_ROW - 1)

    assert breaker.state.up


def test_one_mail_that_is_refused_again_and_again_pauses_nothing(breaker: RelayBreaker) -> None:
    for _ in range(3 * FAILURES_IN_A_ROW):
        breaker.ended(mail(), DENIED)

    assert breaker.state.up


def test_different_mails_refused_alike_pause_it_and_another_kind_may_ask_at_once(breaker: RelayBreaker) -> None:
    for number in range(FAILURES_IN_A_ROW):
        breaker.ended(mail(f"{number}@outside.org"), DENIED)
    assert not breaker.state.up
    assert breaker.admits(mail("0@outside.org")) is not None

    inside = mail("ann@inside.org")
    assert breaker.admits(inside) is None
    breaker.ended(inside, ACCEPTED)

    assert breaker.state.up


def test_after_the_cool_down_one_mail_probes_and_nobody_else(breaker: RelayBreaker, clock: Clock) -> None:
    breaker.failed("connection refused")
    clock.now += FIRST_COOL_DOWN_S
    probe, other = mail("a@example.org"), mail("b@example.org")

    assert breaker.admits(probe) is None
    waits = breaker.admits(other)
    assert waits is not None
    assert waits.seconds == PROBE_LOOK_S

    breaker.ended(probe, ACCEPTED)
    assert breaker.admits(other) is None


def test_a_failed_probe_doubles_the_cool_down_up_to_the_longest(breaker: RelayBreaker, clock: Clock) -> None:
    breaker.failed("refused")
    waits = [breaker.remaining()]
    for _ in range(8):
        clock.now += breaker.remaining()
        assert breaker.admits(mail()) is None
        breaker.failed("refused")
        waits.append(breaker.remaining())

    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, LONGEST_COOL_DOWN_S]


def test_many_connections_that_fail_at_once_count_once(breaker: RelayBreaker) -> None:
    for _ in range(10):
        breaker.failed("refused")

    assert breaker.remaining() == FIRST_COOL_DOWN_S


def test_a_refused_login_is_asked_about_late_because_accounts_are_locked(breaker: RelayBreaker) -> None:
    breaker.failed("535", by_login=True)

    assert LOGIN_COOL_DOWN_S <= breaker.remaining() <= LOGIN_COOL_DOWN_S * 1.5


def test_a_login_that_every_mail_would_be_asked_for_needs_one_answer(breaker: RelayBreaker) -> None:
    breaker.ended(mail(), refusal(Phase.MAIL, "530 5.7.0 Authentication required"))

    assert not breaker.state.up


def test_a_mail_that_had_trouble_is_no_probe_until_any_is_better_than_none(breaker: RelayBreaker, clock: Clock) -> None:
    break_often(breaker, FAILURES_IN_A_ROW)
    clock.now += FIRST_COOL_DOWN_S

    assert breaker.admits(mail("0@example.org")) is not None
    clock.now += PROBE_PATIENCE_S
    assert breaker.admits(mail("0@example.org")) is None


def test_a_probe_that_was_given_up_leaves_its_turn_to_the_next(breaker: RelayBreaker, clock: Clock) -> None:
    breaker.failed("refused")
    clock.now += FIRST_COOL_DOWN_S
    probe = mail()
    breaker.admits(probe)

    breaker.given_up(probe)

    assert breaker.admits(mail("b@example.org")) is None


def test_a_relay_that_finds_us_too_fast_rests_and_longer_each_time_it_takes_nothing(
    breaker: RelayBreaker, clock: Clock
) -> None:
    rests = []
    for _ in range(3):
        breaker.ended(mail(), TOO_FAST)
        rests.append(breaker.remaining())
        assert breaker.state.up
        clock.now += breaker.remaining()
        assert breaker.admits(mail()) is None

    breaker.ended(mail(), ACCEPTED)
    breaker.ended(mail(), TOO_FAST)

    assert [*rests, breaker.remaining()] == [REST_S, 2 * REST_S, 4 * REST_S, REST_S]


def test_a_connection_is_enough_where_none_could_be_had(breaker: RelayBreaker) -> None:
    breaker.failed("refused")

    breaker.connected()

    assert breaker.state.up
