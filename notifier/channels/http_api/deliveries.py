"""`HttpApiDeliveries`: channel files as a worker's channel; how a request is made, sent and judged: `channel`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from notifier.channels.each import send_each
from notifier.channels.http_api.channel import HttpApiChannel
from notifier.channels.port import Directory, Draft, Ended, Leaving, Ready, Withheld, Work, refused
from notifier.channels.webhook.transport import WebhookTransport
from notifier.domain.contacts import PHONE, contact_identity, parse_contact
from notifier.domain.delivery import ChannelRef, Contact, Destination, RecipientRef
from notifier.domain.limit import ScopeKind
from notifier.domain.message import TextMessage
from notifier.domain.outcome import Cause, NotTried, Outcome
from notifier.domain.provider import Provider
from notifier.domain.retry import RetrySchedule
from notifier.domain.rule import Channel
from notifier.domain.value import value
from notifier.errors import InvalidDestination
from notifier.limits.places import Place, of_provider
from notifier.rendering.context import event_context
from notifier.rules.content import Content


@value
class _Whom:
    """Whom a message goes to, as texts see them."""

    address: str = ""
    """Empty where all goes to one place."""
    email: str = ""
    phone: str = ""
    name: str = ""
    locale: str = ""
    timezone: str = ""
    id: str = ""

    def as_context(self) -> dict[str, str]:
        """``recipient`` of templates."""
        return {name: getattr(self, name) for name in ("id", "email", "phone", "name", "locale", "timezone")}


class HttpApiDeliveries:
    """Fulfils `port.DeliveryChannel`."""

    name = Channel.HTTP_API
    leaves_pending = False

    def __init__(
        self, channel: HttpApiChannel, transport: WebhookTransport, schedule: RetrySchedule, longest_exchange: float
    ) -> None:
        self.schedule = schedule
        # Of whom has not answered yet one is asked first, and the others after it.
        self.longest_send = 2 * longest_exchange
        self._channel = channel
        self._transport = transport

    def render(self, work: Work, content: Content, directory: Directory, now: float) -> Draft | Withheld:  # noqa: ARG002
        """See `port`; an address is looked up now, so that it is the one that there is now."""
        provider = work.rule.provider
        if provider is None or provider.name not in content.catalog.providers:
            return refused(work, Cause.RULE_MISSING, "this worker's templates/ has no file for the rule's channel")
        whom = _whom(work.delivery.to, provider, directory)
        context = event_context(work.event, recipient=whom.as_context(), delivery_id=work.delivery.id)
        return Draft(work, whom, content.renderer.message(work.rule.template, provider.name, context, whom.locale))

    def compose(self, draft: Draft, content: Content, directory: Directory, now: float) -> Ready:  # noqa: ARG002
        """See `port`."""
        work, whom, message = draft.work, draft.to, draft.message
        assert isinstance(whom, _Whom)  # noqa: S101 - as `render` made it
        assert isinstance(message, TextMessage)  # noqa: S101
        assert work.rule.provider is not None  # noqa: S101
        provider = work.rule.provider
        context = event_context(work.event, recipient=whom.as_context(), delivery_id=work.delivery.id)
        outgoing = self._channel.compose(
            content.catalog.providers[provider.name],
            message,
            address=whom.address,
            context={**context, "locale": whom.locale},
            expires=work.delivery.expires,
        )
        address = contact_identity(provider.kind, whom.address) if whom.address else ""
        return Ready(work, outgoing, message.template, address)

    async def send_all(self, ready: Sequence[Ready], ended: Ended, leaving: Leaving) -> None:  # noqa: ARG002
        """See `port`. Nobody knows the moment before which a request has not acted, so none is marked as leaving.

        A provider that never answered here is asked by one first: a wrong password costs one try, not fifty.
        """
        first = self._channel.to_ask_first([(place, r.outgoing) for place, r in enumerate(ready) if not r.work.start])
        asking = [place for place in range(len(ready)) if place in first]
        others = [place for place in range(len(ready)) if place not in first]
        for places in (asking, others):
            if places:
                await send_each([ready[p] for p in places], self._send, _moved(ended, places))

    async def _send(self, ready: Ready) -> Outcome | NotTried:
        work = ready.work
        first = work.claim.number == 1
        return await self._channel.send(ready.outgoing, again=work.rule.uncertain != "park", first=first)

    def is_slow(self, ready: Ready) -> bool:  # noqa: ARG002
        """A provider that is slow is slow for all."""
        return False

    def closed_for(self) -> float:
        """Never: what is away is one provider."""
        return 0.0

    def places(self, work: Work, directory: Directory, limited: Collection[ScopeKind]) -> Iterator[Place]:
        """See `port`."""
        provider = work.rule.provider
        if provider is None:
            return
        by_recipient = ScopeKind.RECIPIENT in limited
        identity = _identity(work.delivery.to, provider, directory) if by_recipient else ""
        yield from of_provider(identity, provider, work.event.tenant, work.rule, by_recipient=by_recipient)

    async def close(self) -> None:
        """See `port`."""
        await self._transport.close()


def _whom(to: Destination, provider: Provider, directory: Directory) -> _Whom:
    """Raises `InvalidDestination` for somebody whom this provider cannot reach."""
    if isinstance(to, ChannelRef):
        return _Whom()
    if isinstance(to, Contact) and to.contact == provider.kind:
        address = parse_contact(to.contact, to.at)
        phone = address if provider.kind == PHONE else ""
        return _Whom(address, phone=phone, name=to.name, locale=to.locale, timezone=to.timezone)
    if not isinstance(to, RecipientRef):
        raise InvalidDestination(
            f"{provider.name} goes to a {provider.kind or 'place of its own'}, and this is another"
        )
    person = directory.recipients.get(to.recipient)
    if person is None:
        raise InvalidDestination(
            f"no recipient {to.recipient!r} is stored; store one with `notifier recipients set`, then replay"
        )
    address = person.address_of(provider.kind)
    if not address:
        raise InvalidDestination(
            f"recipient {to.recipient!r} has no {provider.kind}; store one with `notifier recipients set`, then replay"
        )
    return _Whom(address, person.email, person.phone, person.name, person.locale, person.timezone, person.id)


def _identity(to: Destination, provider: Provider, directory: Directory) -> str:
    if isinstance(to, Contact):
        return to.identity
    person = directory.recipients.get(to.recipient) if isinstance(to, RecipientRef) else None
    address = person.address_of(provider.kind) if person else ""
    return contact_identity(provider.kind, address) if address else ""


def _moved(ended: Ended, places: Sequence[int]) -> Ended:
    def told(number: int, outcome: Outcome | NotTried, started: float, finished: float) -> None:
        ended(places[number], outcome, started, finished)

    return told
