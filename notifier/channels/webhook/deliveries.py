"""`WebhookDeliveries`: webhooks as a worker's channel; how one is signed, posted and judged: `channel`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from notifier.channels.each import send_each
from notifier.channels.port import Directory, Draft, Ended, Leaving, Ready, Withheld, Work
from notifier.channels.webhook.channel import WebhookChannel
from notifier.channels.webhook.transport import WebhookTransport
from notifier.domain.delivery import EndpointRef, Status
from notifier.domain.endpoint import Endpoint, EndpointState
from notifier.domain.limit import ScopeKind
from notifier.domain.message import WebhookMessage
from notifier.domain.outcome import Cause, NotTried, Outcome, Park
from notifier.domain.retry import RetrySchedule
from notifier.domain.rule import Channel
from notifier.errors import InvalidDestination
from notifier.limits.places import Place, of_webhook
from notifier.rendering.context import event_context
from notifier.rules.content import Content


class WebhookDeliveries:
    """Fulfils `port.DeliveryChannel`."""

    name = Channel.WEBHOOK
    leaves_pending = True

    def __init__(
        self, channel: WebhookChannel, transport: WebhookTransport, schedule: RetrySchedule, longest_send: float
    ) -> None:
        self.schedule = schedule
        self.longest_send = longest_send
        self._channel = channel
        self._transport = transport

    def render(self, work: Work, content: Content, directory: Directory, now: float) -> Draft | Withheld:  # noqa: ARG002
        """See `port`; the endpoint is looked up now, so that it is the one that there is now."""
        endpoint = directory.endpoints.get(_endpoint(work))
        if endpoint is None:
            return Withheld(work, Status.SKIPPED, "the endpoint was removed")
        if endpoint.state is EndpointState.DISABLED and (why := endpoint.skipped_because):
            # Parked, so that it can be sent when the endpoint is enabled: nobody could publish the event again.
            park = Park(Cause.ENDPOINT_DISABLED, why, Cause.ENDPOINT_DISABLED)
            return Withheld(work, Status.SKIPPED, why, park)
        context = event_context(work.event, recipient=None, delivery_id=work.delivery.id)
        return Draft(work, endpoint, content.renderer.webhook(work.rule.template, work.event, context))

    def compose(self, draft: Draft, content: Content, directory: Directory, now: float) -> Ready:  # noqa: ARG002
        """See `port`."""
        work, endpoint, message = draft.work, draft.to, draft.message
        assert isinstance(endpoint, Endpoint)  # noqa: S101 - as `render` made it
        assert isinstance(message, WebhookMessage)  # noqa: S101
        return Ready(work, self._channel.prepare(work.delivery, work.event, endpoint, message), message.template)

    async def send_all(self, ready: Sequence[Ready], ended: Ended, leaving: Leaving) -> None:  # noqa: ARG002
        """See `port`. Nobody knows the moment before which a request has not acted, so none is marked as leaving."""
        await send_each(ready, self._send, ended)

    async def _send(self, ready: Ready) -> Outcome | NotTried:
        return await self._channel.send(ready.outgoing, again=ready.work.rule.uncertain != "park")

    def is_slow(self, ready: Ready) -> bool:
        """See `port`."""
        return self._channel.is_slow(ready.outgoing.endpoint)

    def closed_for(self) -> float:
        """Never: what is away is an endpoint."""
        return 0.0

    def places(self, work: Work, directory: Directory, limited: Collection[ScopeKind]) -> Iterator[Place]:  # noqa: ARG002
        """See `port`."""
        endpoint = directory.endpoints.get(_endpoint(work))
        if endpoint is not None and endpoint.state is EndpointState.ENABLED:
            yield from of_webhook(endpoint, work.event.tenant, work.rule)

    async def close(self) -> None:
        """See `port`."""
        await self._transport.close()


def _endpoint(work: Work) -> str:
    to = work.delivery.to
    if not isinstance(to, EndpointRef):
        raise InvalidDestination("a webhook goes to an endpoint that is registered, and this one to a person")
    return to.endpoint
