"""Which providers are left alone, and for how long."""

import logging

import pytest

from notifier import metrics
from notifier.channels.http_api.health import BEHIND_PROBE_S, PROBE_SLACK_S, ProviderHealth, ProviderOrigin
from notifier.channels.http_api.outcomes import OUR_FAULT_S
from notifier.domain.breaker import FIRST_WAIT_S, LEAST_FAILURES, Observed
from notifier.domain.outcome import NotTried

SMS, PUSH = ProviderOrigin("sms", "https://sms.example"), ProviderOrigin("push", "https://push.example")
WELL, ILL = Observed(ok=1), Observed(failed=1, code="http_500")
OURS = Observed(failed=1, wait=OUR_FAULT_S, too_much=True, code="http_401")
EXCHANGE_S = 15.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> ProviderHealth:
    return ProviderHealth(EXCHANGE_S, clock)


def away(health: ProviderHealth, place: ProviderOrigin) -> NotTried:
    answer = health.admits(place)
    assert isinstance(answer, NotTried)
    return answer


def test_a_provider_that_never_answered_is_left_alone_at_its_first_failure(health: ProviderHealth) -> None:
    health.observe(SMS, ILL, "")

    assert away(health, SMS).code == "provider_paused"
    assert not health.is_proven(SMS)
    assert health.admits(PUSH) == ""


def test_one_that_answered_is_left_alone_when_most_tries_fail(health: ProviderHealth) -> None:
    health.observe(SMS, WELL, "")
    for _ in range(LEAST_FAILURES - 1):
        health.observe(SMS, ILL, "")
        assert health.admits(SMS) == ""
    health.observe(SMS, ILL, "")

    assert away(health, SMS).seconds == pytest.approx(FIRST_WAIT_S)


def test_a_refused_login_pauses_at_once_and_one_request_a_minute_asks_again(
    health: ProviderHealth, clock: Clock
) -> None:
    # Given a provider that works, and then refuses our login
    health.observe(SMS, WELL, "")
    health.observe(SMS, OURS, "")
    assert away(health, SMS).seconds == pytest.approx(OUR_FAULT_S)

    # When its time is up, one request asks and the others wait for its answer
    clock.now += OUR_FAULT_S
    probe = health.admits(SMS)
    assert isinstance(probe, str)
    assert probe
    assert away(health, SMS).seconds == BEHIND_PROBE_S

    # Then another refusal pauses it as long again, and an answer ends it
    health.observe(SMS, OURS, probe)
    assert away(health, SMS).seconds == pytest.approx(OUR_FAULT_S)
    clock.now += OUR_FAULT_S
    probe = health.admits(SMS)
    assert isinstance(probe, str)
    health.observe(SMS, WELL, probe)
    assert health.admits(SMS) == ""
    assert health.is_proven(SMS)


def test_a_probe_that_says_nothing_is_somebody_elses_turn(health: ProviderHealth, clock: Clock) -> None:
    health.observe(SMS, ILL, "")
    clock.now += FIRST_WAIT_S
    probe = health.admits(SMS)
    assert isinstance(probe, str)

    health.observe(SMS, Observed(), probe)

    assert isinstance(health.admits(SMS), str)


def test_a_probe_that_never_comes_back_is_lost_after_a_while(health: ProviderHealth, clock: Clock) -> None:
    health.observe(SMS, ILL, "")
    clock.now += FIRST_WAIT_S
    assert isinstance(health.admits(SMS), str)

    clock.now += EXCHANGE_S + PROBE_SLACK_S

    assert isinstance(health.admits(SMS), str)


def test_operators_are_told_once_when_it_is_paused_and_when_it_is_back(
    health: ProviderHealth, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(3):
        health.observe(SMS, OURS, "")
    clock.now += OUR_FAULT_S
    probe = health.admits(SMS)
    assert isinstance(probe, str)
    health.observe(SMS, WELL, probe)

    told = [(record.getMessage(), record.fields["channel"]) for record in caplog.records]  # type: ignore[attr-defined]
    assert told == [("provider.paused", "sms"), ("provider.resumed", "sms")]


def up(provider: str) -> float | None:
    return metrics.REGISTRY.get_sample_value("notifier_provider_up", {"channel": provider})


def test_the_gauge_falls_while_a_login_is_refused_and_rises_with_an_answer(
    health: ProviderHealth, clock: Clock
) -> None:
    health.observe(SMS, WELL, "")
    assert up("sms") == 1
    health.observe(SMS, OURS, "", reason="401 Unauthorized")
    assert up("sms") == 0

    # A login that was refused is refused until somebody mended it, however long nobody asks
    clock.now += 10 * OUR_FAULT_S
    assert up("sms") == 0
    (paused,) = health.paused()
    assert (paused.provider, paused.reason) == ("sms", "http_401: 401 Unauthorized")

    probe = health.admits(SMS)
    assert isinstance(probe, str)
    health.observe(SMS, WELL, probe)
    assert up("sms") == 1
    assert not health.paused()


def test_one_that_said_for_how_long_it_wants_nothing_is_up_again_when_that_is_over(
    health: ProviderHealth, clock: Clock
) -> None:
    health.observe(PUSH, Observed(failed=1, wait=15, too_much=True, code="http_429"), "", rests=True)
    assert up("push") == 0

    clock.now += 15

    assert up("push") == 1
    assert not health.paused()


def test_one_whose_settings_are_missing_is_down_and_told_once(
    health: ProviderHealth, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        health.lacks("room", ["NOTIFIER_CHANNEL_ROOM_URL"])
    assert up("room") == 0
    health.lacks_nothing("room")
    assert up("room") == 1

    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == ["provider.paused"]
