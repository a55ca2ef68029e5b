"""Which providers are left alone just now, as this process sees it: a breaker for each place that is asked.

`domain.breaker` decides; in memory, as of mail relays, because a provider is one for all tenants and every worker finds
out within a request. Whoever never answered here is asked by one request first, and left alone at its first failure: a
wrong password costs one try, not fifty.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from notifier import metrics
from notifier.domain.breaker import PROBE_SLACK_S, Breaker, Observed, begin_probe, observe
from notifier.domain.outcome import NotTried
from notifier.domain.value import value
from notifier.logs import get, wide

#: Seconds after which to look again while somebody else probes.
BEHIND_PROBE_S = 2.0
#: Seconds until another look at a provider whose settings are missing: nothing but a restart brings them.
MISSING_S = 60.0
#: Places that are remembered; where addresses are URLs, each host is one.
MOST_PLACES = 1000
#: Characters of the answer that people are shown.
REASON_LIMIT = 200
PAUSED = "provider_paused"

_log = get("provider")


@value
class ProviderOrigin:
    """What a breaker is of: a provider, at one origin."""

    provider: str
    origin: str

    @property
    def receiver(self) -> str:
        """Whose slots its requests use."""
        return f"{self.provider} {self.origin}"

    def __str__(self) -> str:
        return self.provider


@value
class PausedProvider:
    """A provider that is left alone, as this process sees it."""

    provider: str
    reason: str
    since: float
    """Unix seconds."""
    probe_at: float
    """Unix seconds from which one message may ask again; 0 when only a restart helps."""
    rests: bool = False
    """It said itself for how long; from then on it is not known to be unwell."""


@value
class _Pause:
    """What else is remembered of a place that failed."""

    reason: str = ""
    rests: bool = False


class ProviderHealth:
    """Used in the engine's loop only, but for what people and scrapers look at: `paused`."""

    def __init__(self, longest_exchange: float, clock: Callable[[], float] = time.time) -> None:
        self._lease = longest_exchange + PROBE_SLACK_S
        self._clock = clock
        self._breakers: dict[ProviderOrigin, Breaker] = {}
        self._proven: dict[ProviderOrigin, None] = {}
        self._pauses: dict[ProviderOrigin, _Pause] = {}
        self._lacking: dict[str, PausedProvider] = {}
        self._gauged = set[str]()

    def lacks(self, provider: str, missing: Sequence[str]) -> NotTried:
        """It cannot be asked at all: settings that its file names are missing. Operators are told once."""
        why = f"{', '.join(missing)} is not set" if len(missing) == 1 else f"{', '.join(missing)} are not set"
        before = self._lacking.get(provider)
        if before is None or before.reason != why:
            self._lacking[provider] = PausedProvider(provider, why, self._clock(), 0.0)
            self._gauge(provider)
            wide(_log, "provider.paused", level=logging.WARNING, channel=provider, reason=why)
        return NotTried(PAUSED, f"{provider}: {why}", MISSING_S)

    def lacks_nothing(self, provider: str) -> None:
        """Its file was changed, and names only settings that there are."""
        if provider in self._lacking:
            del self._lacking[provider]
            wide(_log, "provider.resumed", channel=provider)

    def paused(self) -> tuple[PausedProvider, ...]:
        """Each provider that is left alone, once; of several origins the one that was first. From any thread."""
        now = self._clock()
        found = dict(self._lacking)
        for place, breaker in sorted(self._breakers.copy().items(), key=lambda one: one[1].opened):
            pause = self._pauses.get(place, _Pause())
            if breaker.is_open and not (pause.rests and now >= breaker.until):
                reason = pause.reason or breaker.code
                state = PausedProvider(place.provider, reason, breaker.opened, breaker.until, pause.rests)
                found.setdefault(place.provider, state)
        return tuple(found.values())

    def is_proven(self, place: ProviderOrigin) -> bool:
        """Whether it has answered as it should, and nothing is remembered against it."""
        return place in self._proven and place not in self._breakers

    def admits(self, place: ProviderOrigin) -> str | NotTried:
        """The token of the probe that a request would be, empty for an ordinary one; or until when to stay away."""
        breaker = self._breakers.get(place)
        if breaker is None or not breaker.is_open:
            return ""
        now = self._clock()
        if breaker.probe_is_due(now):
            token = secrets.token_hex(6)
            probing = begin_probe(breaker, token, now, self._lease)
            assert probing is not None  # noqa: S101 - one is due
            self._breakers[place] = probing
            return token
        seconds = BEHIND_PROBE_S if breaker.probe else max(breaker.until - now, 1.0)
        return NotTried(PAUSED, f"{place} is {breaker.describe(now)}", seconds)

    def observe(
        self, place: ProviderOrigin, seen: Observed, probe: str, *, reason: str = "", rests: bool = False
    ) -> None:
        """What an exchange said of it. ``reason``: its answer, for people; ``rests``: it asked for time, see above."""
        before = self._breakers.get(place)
        if before is None and not seen.failed:
            if seen.ok and place not in self._proven:
                self._remember(place)
            return
        unproven = place not in self._proven
        seen = replace(seen, probe=probe, too_much=seen.too_much or (unproven and seen.failed > 0))
        after = observe(before, seen, self._clock())
        if after is None:
            self._breakers.pop(place, None)
            self._pauses.pop(place, None)
            if seen.ok:
                self._remember(place)
        else:
            self._keep(place, after)
            if seen.failed:
                self._pauses[place] = _Pause(f"{seen.code}: {reason}"[:REASON_LIMIT] if reason else seen.code, rests)
        self._tell(place, before, after)

    def _remember(self, place: ProviderOrigin) -> None:
        self._proven[place] = None
        if len(self._proven) > MOST_PLACES:
            del self._proven[next(iter(self._proven))]
        self._gauge(place.provider)

    def _keep(self, place: ProviderOrigin, breaker: Breaker) -> None:
        if place not in self._breakers and len(self._breakers) >= MOST_PLACES:
            oldest = next(iter(self._breakers))
            del self._breakers[oldest]
            self._pauses.pop(oldest, None)
        self._breakers[place] = breaker

    def _gauge(self, provider: str) -> None:
        """Looked at when it is scraped: the time for which a provider wants nothing ends without a message."""
        if provider not in self._gauged:
            self._gauged.add(provider)
            up = lambda: float(all(one.provider != provider for one in self.paused()))  # noqa: E731
            metrics.PROVIDER_UP.labels(provider).set_function(up)

    def _tell(self, place: ProviderOrigin, before: Breaker | None, after: Breaker | None) -> None:
        was_open, is_open = before is not None and before.is_open, after is not None and after.is_open
        if is_open and not was_open and after is not None:
            self._gauge(place.provider)
            away = round(after.until - self._clock(), 1)
            wide(
                _log,
                "provider.paused",
                level=logging.WARNING,
                channel=place.provider,
                origin=place.origin,
                code=after.code,
                probe_in_s=away,
            )
        elif was_open and not is_open and before is not None:
            paused = round(self._clock() - before.opened, 1)
            wide(_log, "provider.resumed", channel=place.provider, origin=place.origin, paused_s=paused)
