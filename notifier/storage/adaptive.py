"""`AdaptiveRates`: relays and domains that said we are too fast, shared by all workers.

The rate in force lies where `storage.limits` reads it at every reservation; here is only how it moves. A complaint
halves it, down to a quarter of what got through a moment ago. Where nobody configured a rate, the first complaint makes
one: what all workers got through in the moment before, of which half is in force. Seconds in which mails went through
and more wanted to raise it: by a factor while it is being searched, and once it was found too high along a cubic, as
TCP CUBIC does: back to nearly where it was in some seconds, slow around there, fast beyond, until it is the configured
one again or far above the learned one, and forgotten. What goes through while nothing waits says nothing about how fast
it might go; a rate that nobody comes near is forgotten after two minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from notifier.domain.limit import Scope
from notifier.storage import keys
from notifier.storage.commands import Operation, run_script
from notifier.storage.records import milliseconds
from notifier.storage.store import Store

#: A learned limit is forgotten when it has grown to this many times what got through when it was learned.
FORGOTTEN_AT = 20.0
#: Mails a second below which no learned rate falls: a relay that bears less makes us rest (`RelayBreaker`).
LEAST_PER_SECOND = 0.5
#: Share of what a worker got through a moment ago below which no complaint cuts a rate: that much was borne.
LEAST_SHARE = 0.25
#: Seconds in which further complaints are about what was under way when the rate was cut, or had been granted by the
#: rate of before and slept until now.
CUT_APART_S = 3.0
#: Seconds between two raises, whoever makes them.
RAISE_APART_S = 1.0
#: Growth a second while the rate is searched: a tenth of what is possible is found to be too little in nine seconds.
SEARCH_GROWTH = 1.3
#: Seconds with mails going through until a rate that was cut is nearly back where it was (`NEARLY`); there it lingers.
RECOVERY_STEPS = 15
#: Of the rate that was found too high: where it lingers. At that rate itself it would soon be told so again, and each
#: time costs seconds at half of it: a relay that bears 50 a second was sent nearly 80 % of that so, and 72 % before.
NEARLY = 0.94
#: Seconds after which a rate is forgotten that nobody came near meanwhile.
FORGOTTEN_AFTER_S = 120.0

_PLACES = (keys.limits_adapted(), keys.limits_version(), keys.limits_courses())


class AdaptiveRates:
    """How the rates of relays and domains move. Raises `StorageUnavailable` when Redis cannot do it now."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._run = store.run
        self._clock = clock

    def slow(self, scope: Scope, *, measured: float, configured: float = 0.0) -> bool:
        """It said that we are too fast; whether this cut its rate, and not another complaint a moment ago.

        ``measured``: mails a second this worker got through; ``configured``: its rate, 0 when nobody set one.
        """
        if configured:
            return self._run(_slow(str(scope), 0.0, LEAST_SHARE * measured / configured, self._clock()))
        least = max(LEAST_PER_SECOND, LEAST_SHARE * measured)
        return self._run(_slow(str(scope), measured * FORGOTTEN_AT, least, self._clock()))

    def raise_(self, scopes: Sequence[Scope]) -> int:
        """Mails went through these; returns how many of them are slowed down still. One round trip."""
        return self._run(_raise([str(scope) for scope in scopes], self._clock()))


def _slow(scope: str, assumed: float, least: float, now: float) -> Operation[bool]:
    places = [*_PLACES, keys.limit_state(scope)]
    words: list[str | int] = [
        f"{assumed:.6f}",
        repr(1 / FORGOTTEN_AT),
        repr(least),
        milliseconds(CUT_APART_S),
        milliseconds(now),
    ]
    (was_cut,) = yield [run_script("slow", places, scope, *words)]
    return bool(was_cut == 1)


def _raise(scopes: Sequence[str], now: float) -> Operation[int]:
    places = [*_PLACES, *(keys.limit_state(scope) for scope in scopes)]
    words: list[str | int] = [milliseconds(RAISE_APART_S), repr(SEARCH_GROWTH), RECOVERY_STEPS, repr(NEARLY)]
    words += [milliseconds(FORGOTTEN_AFTER_S), milliseconds(now)]
    (left,) = yield [run_script("raise", places, *words, *scopes)]
    return int(left)
