"""`WebhookChannel`: from a rendered message to a signed POST, and from the answer to an `Outcome`."""

from __future__ import annotations

import time
from dataclasses import field
from typing import Protocol

from notifier.channels.webhook.answers import Answer, Reply
from notifier.channels.webhook.guard import AddressGuard, Target
from notifier.channels.webhook.headers import is_sendable
from notifier.channels.webhook.outcomes import classify
from notifier.channels.webhook.request import line, opening
from notifier.channels.webhook.scrubbing import scrubbed
from notifier.channels.webhook.signing import check_secrets, sign
from notifier.domain.delivery import Delivery
from notifier.domain.endpoint import Endpoint
from notifier.domain.event import Event
from notifier.domain.message import WebhookMessage
from notifier.domain.outcome import NotTried, Outcome
from notifier.domain.value import value


class Exchanges(Protocol):
    """Posts a request and says what came of it; `transport.WebhookTransport`, or a recorder in previews."""

    async def post(
        self,
        target: Target,
        head: bytes,
        body: bytes,
        *,
        receiver: str = "",
        expires: float | None = None,
        again: bool = True,
    ) -> Answer:
        """Never raises for what the network or the endpoint does."""

    def is_slow(self, receiver: str) -> bool:
        """Whether an exchange with an endpoint has been pending for long."""

    def pending_for(self, receiver: str) -> float:
        """For how long all exchanges with an endpoint have been pending; 0 for others."""


@value
class OutgoingWebhook:
    """Everything a try needs but the time of sending, which is signed too."""

    id: str
    """The delivery id; ``webhook-id`` stays the same over all tries, so receivers recognise a repeat."""
    target: Target
    head: bytes = field(repr=False)
    """The request line and every header that is known before the time of sending."""
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    """Those that sign now; storage leaves out the ones whose rotation overlap has passed."""
    endpoint: str = ""
    """The endpoint's id: slots are shared out by it."""
    expires: float | None = None
    """Unix seconds from which it must not leave any more."""


class WebhookChannel:
    """Prepares and sends webhooks; holds no state of its own."""

    def __init__(self, transport: Exchanges, guard: AddressGuard, headers: frozenset[str] = frozenset()) -> None:
        """``headers``: names of headers that endpoints may have besides the usual ones."""
        self._transport = transport
        self._guard = guard
        self._header_names = headers

    def prepare(self, delivery: Delivery, event: Event, endpoint: Endpoint, message: WebhookMessage) -> OutgoingWebhook:
        """All that can be done before sending. Raises `InvalidDestination` for an endpoint nothing can be sent to."""
        target = self._guard.check_url(endpoint.url)
        check_secrets(endpoint.secrets)
        head = opening(target, endpoint.headers, message.content_type, self._header_names) + line(
            "webhook-id", delivery.id
        )
        if event.traceparent is not None and is_sendable(event.traceparent):
            head += line("traceparent", event.traceparent)
        return OutgoingWebhook(delivery.id, target, head, message.body, endpoint.secrets, endpoint.id, delivery.expires)

    async def send(
        self, outgoing: OutgoingWebhook, now: float | None = None, *, again: bool = True
    ) -> Outcome | NotTried:
        """One try: signed with the present time, posted, and judged. Never raises for what the endpoint does.

        ``again``: whether it may be written twice when the endpoint closed a kept connection without an answer.
        """
        moment = time.time() if now is None else now
        timestamp, body = int(moment), outgoing.body
        head = b"%bwebhook-timestamp: %d\r\nwebhook-signature: %b\r\ncontent-length: %d\r\n\r\n" % (
            outgoing.head,
            timestamp,
            sign(outgoing.secrets, outgoing.id, timestamp, body).encode("ascii"),
            len(body),
        )
        posted = self._transport.post(
            outgoing.target, head, body, receiver=outgoing.endpoint, expires=outgoing.expires, again=again
        )
        answer = await posted
        return classify(scrubbed(answer, head) if isinstance(answer, Reply) else answer, moment)

    def is_slow(self, endpoint: str) -> bool:
        """Whether an exchange with an endpoint has been pending for long. From any thread."""
        return self._transport.is_slow(endpoint)

    def pending_for(self, endpoint: str) -> float:
        """For how long an endpoint's slots have all waited for answers; 0 for others. From any thread."""
        return self._transport.pending_for(endpoint)
