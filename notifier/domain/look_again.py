"""When what was not tried looks again: one row for each reason to wait, and one pure function that reads it.

No clock and no randomness of its own. A try that failed comes again by its channel's schedule instead (`domain.retry`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto

#: Delays in whole seconds. Few, so that what waits for different times travels together; and powers of two, because
#: a native delay passes one queue of the broker for each bit that is set.
STEPS_S = (1, 2, 4, 8, 16, 32, 64)
#: Held deliveries of a worker that look again in a second, at the most, however many wait: a look reads, looks up and
#: publishes, and thousands of them would cost the healthy endpoints more than the ill ones do.
LOOKS_PER_S = 50.0


class NotNow(StrEnum):
    """Why a delivery is not tried now."""

    PAUSED = auto()
    """Relay, sender or provider wants nothing for so long, or no connection is free: a little after that, not all at
    once, and every minute or so of what lasts. A relay that comes back has its whole backlog within this time, and a
    backlog of 200,000 in batches of 50 costs 67 publishes a second meanwhile."""
    OPEN = auto()
    """An endpoint's breaker is open for so long: after that, and at least half as long as it has been. Each delivery
    then looks a handful of times instead of with every probe, and comes late by at most half of the outage."""
    PENDING = auto()
    """All of an endpoint's exchanges wait for answers: as long again as they have done so."""
    PROBED = auto()
    """Another one of its batch is the endpoint's probe; most are answered by then."""
    LEFT_BEHIND = auto()
    """It is the copy of a delivery that is under way: when that has ended for certain."""
    BUSY = auto()
    """Another worker has it, for so long at most: it may have died."""
    NOT_DUE = auto()
    """Its time has not come."""
    FULL = auto()
    """The worker has enough in hand; another one may have room."""
    IN_LINE = auto()
    """It has a place in a rate limit's line. It comes early, because the broker delays by whole seconds and takes a
    moment, and one that comes late leaves its place empty."""
    NO_PLACE = auto()
    """A rate limit has no place for it yet, but will have one after so long."""
    BEYOND_LINE = auto()
    """The line is longer than places are given for: well before its end, and all of a batch together."""


@dataclass(frozen=True, slots=True)
class _Row:
    least: float = 0.0
    """Seconds."""
    of_age: float = 0.0
    """At least this share of the time that the trouble has lasted."""
    longest: float = math.inf
    """Seconds, before they are spread."""
    times: tuple[float, float] = (1.0, 1.0)
    """The shortest and the longest for one number of seconds, as multiples of it."""
    early: float = 0.0
    """Seconds that it comes before its time."""
    held: bool = False
    """It travels with all that is held: at `STEPS_S`, and later when very many wait."""
    whole: Callable[[float], int] = math.ceil


_ROWS: Mapping[NotNow, _Row] = {
    NotNow.PAUSED: _Row(longest=60.0, times=(1.0, 1.5)),
    NotNow.OPEN: _Row(least=1.0, of_age=0.5, times=(1.0, 1.25), held=True),
    NotNow.PENDING: _Row(least=2.0, of_age=1.0, held=True),
    NotNow.PROBED: _Row(least=2.0, held=True),
    NotNow.LEFT_BEHIND: _Row(),
    NotNow.BUSY: _Row(longest=30.0),
    NotNow.NOT_DUE: _Row(),
    NotNow.FULL: _Row(least=2.0),
    NotNow.IN_LINE: _Row(early=0.5, whole=math.floor),
    NotNow.NO_PLACE: _Row(whole=math.floor),
    NotNow.BEYOND_LINE: _Row(longest=300.0, times=(0.5, 1.0), whole=math.floor),
}


def look_again(
    why: NotNow,
    seconds: float = 0.0,
    *,
    age: float = 0.0,
    waiting: int = 0,
    spread: float = 0.0,
    at_most: float = math.inf,
) -> int:
    """Whole seconds until another look, at least one.

    ``seconds`` are what is known of the rest of the trouble, ``age`` how long it has lasted, ``waiting`` how many are
    held. ``spread`` is random in [-1, 1], one for all that should travel together. ``at_most`` says when the trouble
    has ended for certain, however many wait.
    """
    row = _ROWS[why]
    low, high = row.times
    away = min(max(seconds, age * row.of_age, row.least), row.longest) * (low + (high - low) * (spread + 1) / 2)
    if row.held:
        return step(min(max(away, waiting / LOOKS_PER_S), at_most))
    return max(1, row.whole(min(away - row.early, at_most)))


def step(seconds: float) -> int:
    """The next one of `STEPS_S`, or the last."""
    return next((one for one in STEPS_S if one >= seconds), STEPS_S[-1])
