"""`WebhookChannel`: from a rendered message to a signed POST, and from the answer to an `Outcome`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from notifier import __version__
from notifier.channels.webhook.answers import Answer
from notifier.channels.webhook.guard import AddressGuard, Target
from notifier.channels.webhook.headers import check_headers, is_sendable
from notifier.channels.webhook.outcomes import classify
from notifier.channels.webhook.signing import check_secrets, sign
from notifier.domain.delivery import Delivery
from notifier.domain.endpoint import Endpoint
from notifier.domain.event import Event
from notifier.domain.message import WebhookMessage
from notifier.domain.outcome import NotTried, Outcome

USER_AGENT = f"Notifier/{__version__}"


class Exchanges(Protocol):
    """Posts a request and says what came of it; `transport.WebhookTransport`, or a recorder in previews."""

    async def post(
        self, target: Target, headers: Mapping[str, str], body: bytes, *, lane: str = "", expires: float | None = None
    ) -> Answer:
        """Never raises for what the network or the endpoint does."""
        ...

    def is_slow(self, lane: str) -> bool:
        """Whether an endpoint has been owing an answer for long."""
        ...

    def seconds_away(self, lane: str) -> float:
        """How long to stay away from an endpoint that owes nothing but answers; 0 for others."""
        ...


@dataclass(frozen=True, slots=True)
class OutgoingWebhook:
    """Everything a try needs but the time of sending, which is signed too."""

    id: str
    """The delivery id; ``webhook-id`` stays the same over all tries, so receivers recognise a repeat."""
    target: Target
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    """Those that sign now; storage leaves out the ones whose rotation overlap has passed."""
    endpoint: str = ""
    """The endpoint's id: slots are shared out by it."""
    expires: float | None = None
    """Unix seconds from which it must not leave any more."""


class WebhookChannel:
    """Prepares and sends webhooks; holds no state of its own."""

    def __init__(self, transport: Exchanges, guard: AddressGuard) -> None:
        self._transport = transport
        self._guard = guard

    def prepare(self, delivery: Delivery, event: Event, endpoint: Endpoint, message: WebhookMessage) -> OutgoingWebhook:
        """All that can be done before sending. Raises `InvalidDestination` for an endpoint nothing can be sent to."""
        target = self._guard.check_url(endpoint.url)
        check_secrets(endpoint.secrets)
        headers = dict(check_headers(endpoint.headers))
        headers["content-type"] = message.content_type
        headers["user-agent"] = USER_AGENT
        headers["webhook-id"] = delivery.id
        if event.traceparent is not None and is_sendable(event.traceparent):
            headers["traceparent"] = event.traceparent
        return OutgoingWebhook(
            delivery.id, target, headers, message.body, endpoint.secrets, endpoint.id, delivery.expires
        )

    async def send(self, outgoing: OutgoingWebhook, now: float | None = None) -> Outcome | NotTried:
        """One try: signed with the present time, posted, and judged. Never raises for what the endpoint does."""
        moment = time.time() if now is None else now
        timestamp = int(moment)
        headers = {
            **outgoing.headers,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(outgoing.secrets, outgoing.id, timestamp, outgoing.body),
        }
        posted = self._transport.post(
            outgoing.target, headers, outgoing.body, lane=outgoing.endpoint, expires=outgoing.expires
        )
        return classify(await posted, moment)

    def is_slow(self, endpoint: str) -> bool:
        """Whether an endpoint has been owing an answer for long. From any thread."""
        return self._transport.is_slow(endpoint)

    def seconds_away(self, endpoint: str) -> float:
        """How long to stay away from an endpoint whose slots all wait for answers; 0 for others. From any thread."""
        return self._transport.seconds_away(endpoint)
