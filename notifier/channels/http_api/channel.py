"""`HttpApiChannel`: sends requests that `composing` made, each provider within its own health and slots."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from notifier.channels.http_api.composing import OutgoingRequest, compose
from notifier.channels.http_api.health import PAUSED, ProviderHealth, ProviderOrigin
from notifier.channels.http_api.outcomes import about_provider, classify
from notifier.channels.webhook.channel import Exchanges
from notifier.channels.webhook.guard import AddressGuard
from notifier.domain.breaker import Observed
from notifier.domain.message import TextMessage
from notifier.domain.outcome import NotTried, Outcome
from notifier.rules.channel_files import CompiledProvider

#: Seconds until another look at a provider whose settings are missing: nothing but a restart brings them.
MISSING_S = 60.0


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

    def to_ask_first(self, requests: Iterable[tuple[int, OutgoingRequest]]) -> frozenset[int]:
        """Of each provider that has not answered well here the first: a wrong password costs one try, not fifty."""
        first: dict[ProviderOrigin, int] = {}
        for number, outgoing in requests:
            if not self._health.is_proven(outgoing.place):
                first.setdefault(outgoing.place, number)
        return frozenset(first.values())

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
                outgoing.target,
                outgoing.head,
                outgoing.body,
                receiver=place.receiver,
                expires=outgoing.expires,
                again=again,
            )
            outcome = classify(outgoing.asked, answer, self._clock(), outgoing.private)
            seen = about_provider(outcome)
        finally:
            self._health.observe(place, seen, probe)
        return outcome
