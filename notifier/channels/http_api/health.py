"""Which providers are left alone just now, as this process sees it: a breaker for each place that is asked.

`domain.breaker` decides; in memory, as of mail relays, because a provider is one for all tenants and every worker finds
out within a request. Whoever never answered here is asked by one request first, and left alone at its first failure: a
wrong password costs one try, not fifty.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from notifier import metrics
from notifier.domain.breaker import PROBE_SLACK_S, Breaker, Observed, begin_probe, observe
from notifier.domain.outcome import NotTried
from notifier.domain.value import value
from notifier.logs import get, wide

#: Seconds after which to look again while somebody else probes.
BEHIND_PROBE_S = 2.0
#: Places that are remembered; where addresses are URLs, each host is one.
MOST_PLACES = 1000
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


class ProviderHealth:
    """Used in the engine's loop only."""

    def __init__(self, longest_exchange: float, clock: Callable[[], float] = time.time) -> None:
        self._lease = longest_exchange + PROBE_SLACK_S
        self._clock = clock
        self._breakers: dict[ProviderOrigin, Breaker] = {}
        self._proven: dict[ProviderOrigin, None] = {}

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

    def observe(self, place: ProviderOrigin, seen: Observed, probe: str) -> None:
        """What an exchange said of it."""
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
            if seen.ok:
                self._remember(place)
        else:
            self._keep(place, after)
        self._tell(place, before, after)

    def _remember(self, place: ProviderOrigin) -> None:
        self._proven[place] = None
        if len(self._proven) > MOST_PLACES:
            del self._proven[next(iter(self._proven))]
        metrics.PROVIDER_UP.labels(place.provider).set(1)

    def _keep(self, place: ProviderOrigin, breaker: Breaker) -> None:
        if place not in self._breakers and len(self._breakers) >= MOST_PLACES:
            del self._breakers[next(iter(self._breakers))]
        self._breakers[place] = breaker

    def _tell(self, place: ProviderOrigin, before: Breaker | None, after: Breaker | None) -> None:
        was_open, is_open = before is not None and before.is_open, after is not None and after.is_open
        if is_open and not was_open and after is not None:
            metrics.PROVIDER_UP.labels(place.provider).set(0)
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
            metrics.PROVIDER_UP.labels(place.provider).set(1)
            paused = round(self._clock() - before.opened, 1)
            wide(_log, "provider.resumed", channel=place.provider, origin=place.origin, paused_s=paused)
