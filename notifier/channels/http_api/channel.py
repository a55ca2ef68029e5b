"""`HttpApiChannel`: sends requests that `composing` made, each provider within its own health and slots."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from notifier.channels.http_api.composing import OutgoingRequest, compose, missing_settings
from notifier.channels.http_api.health import PAUSED, PausedProvider, ProviderHealth, ProviderOrigin
from notifier.channels.http_api.outcomes import OUR_FAULT_S, about_provider, classify, rests
from notifier.channels.webhook.channel import Exchanges
from notifier.channels.webhook.guard import AddressGuard
from notifier.domain.breaker import Observed
from notifier.domain.message import TextMessage
from notifier.domain.outcome import Deferred, NotTried, Outcome
from notifier.rules.channel_files import CompiledProvider


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

    def look_at(self, providers: Iterable[CompiledProvider]) -> None:
        """Tell which of them lack settings, before a message waits for it."""
        for one in providers:
            if missing := missing_settings(one, self._settings):
                self._health.lacks(one.name, missing)

    def paused(self) -> tuple[PausedProvider, ...]:
        """Which providers are left alone, and why; from any thread."""
        return self._health.paused()

    async def send(self, outgoing: OutgoingRequest, *, again: bool = True, first: bool = True) -> Outcome | NotTried:
        """One try. Never raises for what the provider does.

        While the provider works for nobody, an answer that is about us spends no try: the login may be wrong for days.
        A message's ``first`` try outside of a probe is spent all the same, so that the ledger has the answer.
        """
        place = outgoing.place
        if outgoing.target is None:
            return self._health.lacks(place.provider, outgoing.missing)
        self._health.lacks_nothing(place.provider)
        probe = self._health.admits(place)
        if isinstance(probe, NotTried):
            return probe
        counts = not probe and (first or self._health.is_proven(place))
        seen, outcome = Observed(), None
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
            reason = outcome.reply if isinstance(outcome, Deferred) else ""
            self._health.observe(place, seen, probe, reason=reason, rests=outcome is not None and rests(outcome))
        if isinstance(outcome, Deferred) and outcome.our_fault and not counts:
            return NotTried(PAUSED, f"{place}: {outcome.code}", outcome.retry_after or OUR_FAULT_S)
        return outcome
