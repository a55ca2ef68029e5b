"""When to try again, as values from a pure function: no clock, no randomness of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

from notifier.domain.outcome import Deferred


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Seconds to wait after the 1st, 2nd, … deferred try; when they are used up the delivery is exhausted."""

    delays: tuple[float, ...]
    jitter: float = 0.2
    """Each delay is spread by ± this share, so that what failed together does not return together."""


#: About 28 hours, the Standard Webhooks example schedule up to its eighth try; the first retry comes soon.
WEBHOOK_SCHEDULE = RetrySchedule((5, 300, 1800, 7200, 18000, 36000, 36000))
#: About 3 days. RFC 5321 §4.5.4.1 asks mail servers for half an hour between tries and 4–5 days in all; we hand mail
#: to a relay that does that for the last mile, so the first tries may come sooner and the last earlier.
EMAIL_SCHEDULE = RetrySchedule((30, 120, 600, 1800, 3600, 7200, 14400, 28800, 43200, 43200, 86400))

#: A receiver may ask for any Retry-After; more than a day is taken as a day.
MAX_RETRY_AFTER_S = 86400.0
#: Delays are multiples of one of these, the largest that is a sixteenth of them or less; schedules are already.
_GRAINS_S = (2, 3, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again in this many whole seconds (≥ 1: RabbitMQ's native delay, and Celery, know no less)."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The schedule is used up."""


@dataclass(frozen=True, slots=True)
class TooLate:
    """The next try would come after the delivery expires."""


RetryDecision = RetryIn | Exhausted | TooLate


def decide_retry(
    schedule: RetrySchedule, tries: int, outcome: Deferred, *, now: float, expires: float | None, spread: float
) -> RetryDecision:
    """What follows the ``tries``-th try (1 = the first) that ended as ``outcome``.

    ``now`` and ``expires`` are unix seconds; ``spread`` is a random number in [-1, 1] that places the delay in its
    jitter. A Retry-After longer than the schedule's step wins, up to a day; a shorter one never hurries us. What would
    be in vain for some time comes after it, spread beyond it.
    """
    if tries > len(schedule.delays):
        return Exhausted()
    delay = schedule.delays[tries - 1] * (1 + schedule.jitter * spread)
    if outcome.retry_after is not None:
        delay = max(delay, min(outcome.retry_after, MAX_RETRY_AFTER_S))
    patient = max(delay, outcome.in_vain_for * (1 + schedule.jitter * (1 + spread) / 2))
    # Where there is no time for that, trying in vain is better than not trying.
    seconds = max(1, math.ceil(patient if expires is None or now + patient < expires else delay))
    if expires is not None and now + seconds >= expires:
        return TooLate()
    together = few(seconds)
    return RetryIn(together if expires is None or now + together < expires else seconds)


def few(seconds: int) -> int:
    """As many seconds, or up to a sixteenth more: so that what waits for different times can travel together."""
    grain = max((one for one in _GRAINS_S if one * 16 <= seconds), default=1)
    return -(-seconds // grain) * grain
