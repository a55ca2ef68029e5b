"""`HttpApiChannel`: sends requests that `composing` made, each provider within its own health and slots."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from notifier.channels.http_api.composing import OutgoingRequest, compose
from notifier.channels.http_api.health import PAUSED, Place, ProviderHealth
from notifier.channels.http_api.outcomes import about_provider, classify
from notifier.channels.webhook.channel import Exchanges
from notifier.channels.webhook.guard import AddressGuard
from notifier.domain.breaker import Observed
from notifier.domain.message import TextMessage
from notifier.domain.outcome import NotTried, Outcome
from notifier.domain.value import value
from notifier.rules.channel_files import CompiledProvider

#: Seconds until another look at a provider whose settings are missing: nothing but a restart brings them.
MISSING_S = 60.0

Ended = Callable[[int, Outcome | NotTried, float, float], None]
"""Place, outcome, and the unix seconds between which it was tried."""


@value
class Errand:
    """One request to send."""

    outgoing: OutgoingRequest
    again: bool = True
    """Whether it may be written twice when a kept connection was closed without an answer."""
    start: float = 0.0
    """Unix seconds before which it must not leave; a rate limit's."""


class HttpApiChannel:
    """All providers; ``settings`` are the values of ``NOTIFIER_CHANNEL_…``."""

    def __init__(
        self,
        transport: Exchanges,
        guard: AddressGuard,
        settings: Mapping[str, str],
        *,
        longest_exchange: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._guard = guard
        self._settings = settings
        self._health = ProviderHealth(longest_exchange, clock)
        self._clock = clock

    def compose(
        self,
        compiled: CompiledProvider,
        message: TextMessage,
        *,
        address: str,
        context: Mapping[str, Any],
        expires: float | None = None,
    ) -> OutgoingRequest:
        """All that can be done before sending. Raises `RenderError` or `InvalidDestination`."""
        return compose(
            compiled,
            message,
            address=address,
            context=context,
            settings=self._settings,
            guard=self._guard,
            expires=expires,
        )

    async def send_all(self, requests: Sequence[Errand], ended: Ended) -> None:
        """Each is told when it has ended. Never raises for what a provider does."""
        places: dict[Place, list[int]] = defaultdict(list)
        for number, one in enumerate(requests):
            places[one.outgoing.place].append(number)
        await asyncio.gather(*(self._send_to(place, n, requests, ended) for place, n in places.items()))

    async def _send_to(self, place: Place, numbers: list[int], requests: Sequence[Errand], ended: Ended) -> None:
        async def one(number: int) -> None:
            errand = requests[number]
            if errand.start and (early := errand.start - self._clock()) > 0:
                await asyncio.sleep(early)
            started = self._clock()
            outcome = await self.send(errand.outgoing, again=errand.again)
            ended(number, outcome, started, self._clock())

        if not self._health.is_proven(place):
            await one(numbers.pop(0))
        await asyncio.gather(*map(one, numbers))

    async def send(self, outgoing: OutgoingRequest, *, again: bool = True) -> Outcome | NotTried:
        """One try. Never raises for what the provider does."""
        place = outgoing.place
        if outgoing.target is None:
            return NotTried(PAUSED, f"{place}: {', '.join(outgoing.missing)} is not set", MISSING_S)
        probe = self._health.admits(place)
        if isinstance(probe, NotTried):
            return probe
        seen = Observed()
        try:
            answer = await self._transport.post(
                outgoing.target, outgoing.head, outgoing.body, lane=place.lane, expires=outgoing.expires, again=again
            )
            outcome = classify(outgoing.asked, answer, self._clock(), outgoing.private)
            seen = about_provider(outcome)
        finally:
            self._health.observe(place, seen, probe)
        return outcome
