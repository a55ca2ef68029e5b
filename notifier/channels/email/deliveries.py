"""`EmailDeliveries`: mails as a worker's channel; how one is composed and sent: `channel`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any

from notifier.channels.each import send_one
from notifier.channels.email.channel import EmailChannel
from notifier.channels.email.composing import Asked, compose_by_rule
from notifier.channels.port import Directory, Draft, Ended, Leaving, Ready, Work
from notifier.domain.delivery import Destination, Mailbox, RecipientRef
from notifier.domain.limit import ScopeKind
from notifier.domain.message import EmailMessage
from notifier.domain.outcome import Deferred, NotTried, Outcome
from notifier.domain.recipient import Recipient
from notifier.domain.retry import RetrySchedule
from notifier.domain.rule import Channel
from notifier.engine.smtp import Mail
from notifier.errors import InvalidDestination
from notifier.limits.places import Place, of_mail
from notifier.logs import get
from notifier.rendering.context import digest_context, event_context
from notifier.rules.content import Content

_log = get("worker")


class EmailDeliveries:
    """Fulfils `port.DeliveryChannel`."""

    name = Channel.EMAIL
    leaves_pending = False

    def __init__(self, channel: EmailChannel, schedule: RetrySchedule) -> None:
        self.schedule = schedule
        self.longest_send = channel.longest_send
        self._channel = channel

    def render(self, work: Work, content: Content, directory: Directory, now: float) -> Draft:
        """See `port`."""
        rule, delivery = work.rule, work.delivery
        to = _mailbox(delivery.to, directory)
        late = delivery.digest.late(now) if delivery.digest else ()
        context = event_context(
            work.event,
            recipient={"email": to.address, "name": to.name, "locale": to.locale, "timezone": to.timezone},
            delivery_id=delivery.id,
            unsubscribe_url=self._channel.unsubscribe_url(to, rule),
            digest=_digest_context(work, late),
        )
        # Also of an email rule whose throttle collects the rest.
        is_digest = delivery.digest is not None or rule.window is not None
        render = content.renderer.digest if is_digest else content.renderer.email
        return Draft(work, to, render(rule.template, context, to.locale), late)

    def compose(self, draft: Draft, content: Content, directory: Directory, now: float) -> Ready:
        """See `port`."""
        work, to, message = draft.work, draft.to, draft.message
        assert isinstance(message, EmailMessage)  # noqa: S101 - as `render` made it
        asked = Asked(work.delivery, to, work.rule, content.catalog.compiled(work.rule.id), work.event, message)
        outgoing = compose_by_rule(self._channel, asked, lambda one: _known(one, directory), now)
        return Ready(work, outgoing, message.template, to.address, draft.late)

    async def send_all(self, ready: Sequence[Ready], ended: Ended, leaving: Leaving) -> None:
        """Mails that may go at once go together; one with a time or a mark of its own goes by itself."""
        together: list[tuple[int, Mail]] = []
        alone: list[int] = []
        for place, one in enumerate(ready):
            mail = self._joins(one)
            if mail is None:
                alone.append(place)
            else:
                together.append((place, mail))
        if not alone:
            await self._send_together(together, ended)
            return
        send = partial(self._send, leaving=leaving)
        each = (send_one(place, ready[place], send, ended) for place in alone)
        await asyncio.gather(self._send_together(together, ended), *each)

    def _joins(self, ready: Ready) -> Mail | None:
        if ready.work.start or ready.work.rule.uncertain == "park":
            return None
        try:
            return self._channel.check(ready.outgoing)
        except Exception:  # `_send` meets it again and says what is wrong with it
            return None

    async def _send_together(self, together: Sequence[tuple[int, Mail]], ended: Ended) -> None:
        pending = {place for place, _ in together}

        def told(number: int, outcome: Outcome | NotTried, seconds: float) -> None:
            moment = time.time()
            place = together[number][0]
            pending.discard(place)
            ended(place, outcome, moment - seconds, moment)

        try:
            await self._channel.send_all([mail for _, mail in together], told)
        except Exception as error:
            # A bug: nobody knows which of the others have left.
            _log.exception("deliveries.crashed", extra={"fields": {"deliveries": len(together)}})
            unknown = Deferred("internal_error", f"{type(error).__name__}: {error}", uncertain=True)
            moment = time.time()
            for place in sorted(pending):
                ended(place, unknown, moment, moment)

    async def _send(self, ready: Ready, *, leaving: Leaving) -> Outcome | NotTried:
        mark = partial(leaving, ready.work) if ready.work.rule.uncertain == "park" else None
        return await self._channel.send(ready.outgoing, before_final_dot=mark)

    def is_slow(self, ready: Ready) -> bool:  # noqa: ARG002
        """A relay that is slow is slow for all."""
        return False

    def closed_for(self) -> float:
        """While every relay is paused."""
        return self._channel.paused_for()

    def places(self, work: Work, directory: Directory, limited: Collection[ScopeKind]) -> Iterator[Place]:
        """See `port`."""
        if address := _address(work.delivery.to, directory):
            by_recipient = ScopeKind.RECIPIENT in limited
            yield from of_mail(address, self._relay(), work.event.tenant, work.rule, by_recipient=by_recipient)

    def _relay(self) -> str:
        """The relay that mails go to now: the first that is up; the first of all while none is."""
        states = self._channel.relay_states()
        return next((state.relay for state in states if state.up), states[0].relay)

    async def close(self) -> None:
        """See `port`."""
        await self._channel.close()


def _mailbox(to: Destination, directory: Directory) -> Mailbox:
    if isinstance(to, Mailbox):
        return to
    if not isinstance(to, RecipientRef):
        raise InvalidDestination("a mail goes to a mail address or to a recipient, and this one to neither")
    person = directory.recipients.get(to.recipient)
    if person is None:
        raise InvalidDestination(
            f"no recipient {to.recipient!r} is stored; store one with `notifier recipients set`, then replay"
        )
    if not person.email:
        raise InvalidDestination(
            f"recipient {to.recipient!r} has no email; store one with `notifier recipients set`, then replay"
        )
    return _stored(person)


def _known(one: Mailbox | RecipientRef, directory: Directory) -> Mailbox | None:
    """Somebody the headers of a copy name; who is not stored any more is left out of them."""
    if isinstance(one, Mailbox):
        return one
    person = directory.recipients.get(one.recipient)
    return _stored(person) if person and person.email else None


def _stored(person: Recipient) -> Mailbox:
    return Mailbox(
        address=person.email, name=person.name, locale=person.locale, timezone=person.timezone, recipient=person.id
    )


def _address(to: Destination, directory: Directory) -> str:
    if isinstance(to, Mailbox):
        return to.address
    person = directory.recipients.get(to.recipient) if isinstance(to, RecipientRef) else None
    return person.email if person else ""


def _digest_context(work: Work, late: Sequence[int]) -> dict[str, Any] | None:
    digest = work.delivery.digest
    if digest is None:
        return None
    items = [event for place, event in enumerate(work.items) if place not in late]
    return digest_context(
        items, total=digest.total - len(late), key=digest.key, opened=digest.opened, closed=digest.closed
    )
