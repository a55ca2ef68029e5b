"""What one try means: the delivery half of the failure table in docs/concepts.md, as one table."""

from dataclasses import replace

import pytest

from notifier.domain.delivery import Status
from notifier.domain.outcome import REPLY_LIMIT, Cause, Deferred, NotTried, Outcome, Park, Refused, Sent
from notifier.domain.retry import RetryIn, RetrySchedule
from notifier.worker.decision import Try, decide

SCHEDULE = RetrySchedule((10.0, 100.0))


def a_try(number: int = 1, *, expires: float | None = None, park_uncertain: bool = False, spread: float = 0) -> Try:
    return Try(
        number=number,
        started=1000.0,
        ended=1001.5,
        worker="w1",
        schedule=SCHEDULE,
        expires=expires,
        spread=spread,
        park_uncertain=park_uncertain,
    )


@pytest.mark.parametrize(
    ("outcome", "this", "status", "follow"),
    [
        # the other side took it
        (Sent("smtp_250"), a_try(), Status.SENT, None),
        # not now: the schedule
        (Deferred("smtp_450"), a_try(1), Status.DEFERRED, RetryIn(10)),
        (Deferred("http_503"), a_try(2), Status.DEFERRED, RetryIn(100)),
        # a longer Retry-After wins over the schedule, a shorter one does not hurry us
        (Deferred("http_429", retry_after=60), a_try(1), Status.DEFERRED, RetryIn(60)),
        (Deferred("http_429", retry_after=1), a_try(1), Status.DEFERRED, RetryIn(10)),
        # the schedule is used up
        (
            Deferred("timeout", "no answer"),
            a_try(3),
            Status.EXHAUSTED,
            Park(Cause.EXHAUSTED, "no answer", "timeout"),
        ),
        # the next try would come too late
        (Deferred("smtp_450"), a_try(1, expires=1005), Status.EXPIRED, None),
        # never
        (
            Refused("smtp_550_5.1.1", "no such user", cause=Cause.BAD_RECIPIENT, suppress=True),
            a_try(),
            Status.REFUSED,
            Park(Cause.BAD_RECIPIENT, "no such user", "smtp_550_5.1.1"),
        ),
        (
            Refused("http_410", "", cause=Cause.ENDPOINT_GONE, disable_endpoint=True),
            a_try(),
            Status.REFUSED,
            Park(Cause.ENDPOINT_GONE, "", "http_410"),
        ),
        # nobody knows: the rule decides
        (Deferred("connection", uncertain=True), a_try(), Status.DEFERRED, RetryIn(10)),
        (
            Deferred("connection", "cut", uncertain=True),
            a_try(park_uncertain=True),
            Status.REFUSED,
            Park(Cause.UNCERTAIN, "cut", "connection"),
        ),
    ],
)
def test_every_outcome_has_one_status_and_one_consequence(
    outcome: Outcome, this: Try, status: Status, follow: RetryIn | Park | None
) -> None:
    decision = decide(outcome, this)

    assert (decision.status, decision.follow) == (status, follow)


def test_an_address_that_does_not_exist_is_suppressed_and_a_gone_endpoint_is_disabled() -> None:
    bounced = decide(Refused("smtp_550_5.1.1", suppress=True), a_try())
    gone = decide(Refused("http_410", disable_endpoint=True), a_try())

    assert (bounced.suppress, bounced.disable_endpoint) == (True, False)
    assert (gone.suppress, gone.disable_endpoint) == (False, True)


def test_the_attempt_says_when_how_long_who_and_what_was_answered() -> None:
    attempt = decide(Deferred("smtp_450", "try later"), a_try(2)).attempt

    assert attempt is not None
    assert attempt.as_dict() == {
        "number": 2,
        "started": 1000.0,
        "duration": 1.5,
        "outcome": "deferred",
        "code": "smtp_450",
        "reply": "try later",
        "worker": "w1",
    }


def test_an_uncertain_attempt_says_so_in_its_code() -> None:
    attempt = decide(Deferred("connection", uncertain=True), a_try()).attempt

    assert attempt is not None
    assert attempt.code == "uncertain:connection"


def test_a_long_reply_is_clipped_before_it_is_kept() -> None:
    attempt = decide(Deferred("http_500", "x" * 200_000), a_try()).attempt

    assert attempt is not None
    assert len(attempt.reply) == REPLY_LIMIT


def test_a_retry_after_pauses_the_whole_endpoint_for_a_day_at_most() -> None:
    soon = decide(Deferred("http_429", retry_after=60), a_try())
    absurd = decide(Deferred("http_503", retry_after=1e9), a_try())
    unasked = decide(Deferred("http_503"), a_try())

    assert soon.pause_until == 1061.5
    assert absurd.pause_until == 1001.5 + 86400
    assert unasked.pause_until is None


def test_the_next_try_is_recorded_as_a_time() -> None:
    assert decide(Deferred("smtp_450"), a_try()).next_try == 1011.5


@pytest.mark.parametrize(("spread", "seconds"), [(-1, 10), (0, 13), (1, 15)])
def test_what_was_not_tried_comes_back_after_the_pause_and_no_try_is_spent(spread: float, seconds: int) -> None:
    decision = decide(NotTried("relay_paused", "554 go away", 10.0), a_try(3, spread=spread))

    assert (decision.status, decision.reason, decision.attempt) == (Status.DEFERRED, "relay_paused", None)
    assert (decision.follow, decision.next_try) == (RetryIn(seconds), 1001.5 + seconds)


def test_tries_before_a_replay_are_numbered_and_spend_nothing_of_the_schedule() -> None:
    # Given a delivery that was replayed after three tries, with a schedule of two retries
    replayed = replace(a_try(4), earlier=3)

    # When its next try is deferred
    decision = decide(Deferred("timeout"), replayed)

    # Then the attempt is the fourth, and the first retry follows
    assert decision.attempt is not None
    assert decision.attempt.number == 4
    assert decision.follow == RetryIn(10)
    # And it is exhausted after three tries of its own
    assert decide(Deferred("timeout"), replace(a_try(6), earlier=3)).reason == "3 tries, last: timeout"


@pytest.mark.parametrize(("expires", "word"), [(1001.0, "expired"), (1005.0, "would expire")])
def test_what_could_not_be_sent_before_it_expired_has_expired_and_spends_no_try(expires: float, word: str) -> None:
    # Given a delivery that nobody could be given, and that is of no use when that is over
    decision = decide(NotTried("throttled", "slow down", 4.0), a_try(expires=expires))

    # Then it ends, instead of coming back late
    assert (decision.status, decision.attempt, decision.follow) == (Status.EXPIRED, None, None)
    assert decision.reason == f"{word} before it could be sent: slow down"
