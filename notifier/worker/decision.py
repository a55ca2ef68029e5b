"""From an outcome to what is recorded and what follows: a pure step, the heart of the failure table (DESIGN §6)."""

from __future__ import annotations

from notifier.domain.delivery import Attempt, Status
from notifier.domain.look_again import NotNow, look_again
from notifier.domain.outcome import Cause, Deferred, NotTried, Outcome, Park, Refused, Sent, clip
from notifier.domain.retry import MAX_RETRY_AFTER_S, Exhausted, RetryIn, RetrySchedule, TooLate, decide_retry
from notifier.domain.value import value

#: Before the code of a try that may have arrived although it failed.
UNCERTAIN = "uncertain:"


@value
class Decision:
    """What one try means: the status and attempt to record, and what follows."""

    status: Status
    reason: str
    attempt: Attempt | None
    next_try: float | None = None
    follow: RetryIn | Park | None = None
    suppress: bool = False
    disable_endpoint: bool = False
    pause_until: float | None = None
    """Unix seconds before which the whole endpoint wants nothing (Retry-After)."""


@value
class Try:
    """The facts of one try that the decision needs besides its outcome."""

    number: int
    """1 for the first."""
    started: float
    ended: float
    worker: str
    schedule: RetrySchedule
    expires: float | None
    spread: float
    """Random in [-1, 1], one for the whole batch: what failed together and shares a delay travels together again."""
    park_uncertain: bool
    earlier: int = 0
    """Tries before the last replay, which the number counts and the schedule does not."""


def decide(outcome: Outcome | NotTried, this: Try) -> Decision:
    """What follows ``outcome``; see the table in DESIGN §6."""
    if isinstance(outcome, NotTried):
        seconds = look_again(NotNow.PAUSED, outcome.seconds, spread=this.spread)
        if this.expires is not None and this.ended + seconds >= this.expires:
            when = "expired" if this.ended >= this.expires else "would expire"
            return Decision(Status.EXPIRED, f"{when} before it could be sent: {outcome.why}", None)
        return Decision(Status.DEFERRED, outcome.code, None, next_try=this.ended + seconds, follow=RetryIn(seconds))
    attempt = _attempt(outcome, this)
    match outcome:
        case Sent():
            return Decision(Status.SENT, "", attempt)
        case Refused():
            return Decision(
                Status.REFUSED,
                outcome.cause,
                attempt,
                follow=Park(outcome.cause, outcome.reply, outcome.code),
                suppress=outcome.suppress,
                disable_endpoint=outcome.disable_endpoint,
            )
        case Deferred(uncertain=True) if this.park_uncertain:
            return Decision(
                Status.REFUSED, Cause.UNCERTAIN, attempt, follow=Park(Cause.UNCERTAIN, outcome.reply, outcome.code)
            )
        case Deferred():
            return _decide_deferred(outcome, this, attempt)


def _decide_deferred(outcome: Deferred, this: Try, attempt: Attempt) -> Decision:
    tries = this.number - this.earlier
    retry = decide_retry(this.schedule, tries, outcome, now=this.ended, expires=this.expires, spread=this.spread)
    match retry:
        case RetryIn(seconds=seconds):
            return Decision(
                Status.DEFERRED,
                outcome.code,
                attempt,
                next_try=this.ended + seconds,
                follow=RetryIn(seconds),
                pause_until=_pause_until(outcome, this),
            )
        case Exhausted():
            reason = f"{tries} tries, last: {outcome.code}"
            return Decision(
                Status.EXHAUSTED,
                reason,
                attempt,
                follow=Park(Cause.EXHAUSTED, outcome.reply, outcome.code),
                pause_until=_pause_until(outcome, this),
            )
        case TooLate():
            reason = f"would expire before the next try, last: {outcome.code}"
            return Decision(Status.EXPIRED, reason, attempt, pause_until=_pause_until(outcome, this))


def _pause_until(outcome: Deferred, this: Try) -> float | None:
    if outcome.retry_after is None:
        return None
    return this.ended + min(outcome.retry_after, MAX_RETRY_AFTER_S)


def _attempt(outcome: Outcome, this: Try) -> Attempt:
    return Attempt(
        number=this.number,
        started=this.started,
        duration=max(0.0, this.ended - this.started),
        outcome=type(outcome).__name__.lower(),
        code=UNCERTAIN + outcome.code if isinstance(outcome, Deferred) and outcome.uncertain else outcome.code,
        reply=clip(outcome.reply),
        worker=this.worker,
    )
