"""A rule's mail for one event: its files and headers evaluated, then composed; for workers, and for `explain`."""

from __future__ import annotations

from collections.abc import Callable

from notifier.channels.email.attachments import File, read_attachment
from notifier.channels.email.channel import EmailChannel, OutgoingEmail
from notifier.channels.email.extra import NO_EXTRA, Extra, read_extra, shown
from notifier.domain.addresses import read_address
from notifier.domain.delivery import Copies, Delivery, Mailbox, RecipientRef
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id, folded
from notifier.domain.message import EmailMessage
from notifier.domain.rule import Rule
from notifier.domain.value import value
from notifier.errors import InvalidAddress
from notifier.rules.matching import CompiledRule

#: Stands for an addressee who cannot be shown.
NOBODY = Mailbox.model_construct(address="")
#: Who somebody named by a copy's headers is; None when nobody is known by this id any more.
Known = Callable[[Mailbox | RecipientRef], Mailbox | None]


@value
class Asked:
    """One delivery of a rule by email, rendered."""

    delivery: Delivery
    to: Mailbox
    rule: Rule
    compiled: CompiledRule | None
    event: Event
    message: EmailMessage


def compose_by_rule(channel: EmailChannel, asked: Asked, known: Known, now: float) -> OutgoingEmail:
    """Raises `RenderError` for what the rule's expressions gave, and `InvalidAddress`."""
    delivery, rule, compiled, event = asked.delivery, asked.rule, asked.compiled, asked.event
    if delivery.copies is None and (compiled is None or (compiled.mail is None and not compiled.attachments)):
        return channel.compose(delivery, asked.to, rule, asked.message, now=now, tenant=event.tenant)
    return channel.compose(
        delivery,
        asked.to,
        rule,
        asked.message,
        now=now,
        attachments=_files(rule, compiled, event),
        extra=_extra(channel, asked, known),
        shown_to=None if delivery.copies is None else _shown(delivery.copies.to, known) or NOBODY,
        tenant=event.tenant,
    )


def _extra(channel: EmailChannel, asked: Asked, known: Known) -> Extra:
    compiled, event, copies = asked.compiled, asked.event, asked.delivery.copies
    extra = NO_EXTRA
    if compiled is not None and compiled.mail is not None:
        extra = read_extra(compiled.mail.values(event), event.tenant, channel.hostname, where=asked.rule.id)
    if copies is None:
        return extra
    cc, smtputf8 = shown(_others(copies, known))
    parent = extra.parent
    first = delivery_id(event.source, event.id, asked.rule.id, copies.to.identity)
    if not parent and asked.delivery.id != first:
        # Each copy has a Message-ID of its own; with this an answer to all is one thread for all of them.
        parent = channel.message_id(first)
    return Extra(cc, extra.reply_to, parent, extra.headers, extra.smtputf8 or smtputf8)


def _others(copies: Copies, known: Known) -> list[Mailbox]:
    """Each address once, in Cc or as the addressee: one person may be named by an id and by their address."""
    addressee = _shown(copies.to, known)
    seen = {folded(addressee.address)} if addressee else set()
    people = []
    for one in copies.cc:
        if (person := _shown(one, known)) is not None and (same := folded(person.address)) not in seen:
            seen.add(same)
            people.append(person)
    return people


def _shown(one: Mailbox | RecipientRef, known: Known) -> Mailbox | None:
    """Somebody a header names; None for who is not known or has no address, as their own delivery will say."""
    person = known(one)
    try:
        return person if person is not None and read_address(person.address) else None
    except InvalidAddress:
        return None


def _files(rule: Rule, compiled: CompiledRule | None, event: Event) -> list[File]:
    """The files a rule attaches to its mails. Raises `RenderError` naming the attachment that cannot be made."""
    return [
        read_attachment(*one.values(event), where=f"{rule.id} attachments[{place}]", cid=one.attachment.cid)
        for place, one in enumerate(compiled.attachments if compiled else ())
    ]
