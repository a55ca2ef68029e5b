"""`Occasion`: which templates make the message of a delivery, of what, and all that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from notifier.domain.channels import TRAITS
from notifier.domain.delivery import Delivery, EndpointRef, Mailbox, RecipientRef
from notifier.domain.event import Event
from notifier.domain.message import Message
from notifier.domain.rule import Channel, Collecting, Rule
from notifier.errors import RenderError
from notifier.rendering.context import digest_context, event_context
from notifier.rendering.renderer import Renderer
from notifier.rules.previews import recipient_of


@dataclass(frozen=True, slots=True)
class Occasion:
    """One message to be made."""

    folder: str
    kind: str
    """``email``, ``digest``, ``webhook``, or the name of a channel file."""
    event: Event
    context: dict[str, Any]
    locale: str

    def render(self, renderer: Renderer) -> Message:
        """Raises `RenderError`: the first that is wrong."""
        if self.kind == Channel.WEBHOOK:
            return renderer.webhook(self.folder, self.event, self.context)
        if self.kind == Collecting.DIGEST:
            return renderer.digest(self.folder, self.context, self.locale)
        if self.kind == Channel.EMAIL:
            return renderer.email(self.folder, self.context, self.locale)
        return renderer.message(self.folder, self.kind, self.context, self.locale)

    def mistakes(self, renderer: Renderer) -> Iterator[RenderError]:
        """What is wrong in each of its templates."""
        found = renderer.mistakes(self.folder, self.kind, self.context, self.locale)
        try:
            self.render(renderer)
        except RenderError as error:
            # Some things are only wrong with the whole: an empty subject, JSON that is none.
            if not found:
                yield error
        yield from found


def occasion(delivery: Delivery, rule: Rule, event: Event) -> Occasion:
    """A digest is of this one item; people known by id are shown without their name."""
    to = delivery.to
    if isinstance(to, EndpointRef):
        context = event_context(event, recipient=None, delivery_id=delivery.id)
        return Occasion(rule.template, Channel.WEBHOOK.value, event, context, "")
    if rule.provider is not None:
        whom = recipient_of(to)
        context = event_context(event, recipient=whom, delivery_id=delivery.id)
        return Occasion(rule.template, rule.provider.name, event, context, whom["locale"])
    assert isinstance(to, Mailbox | RecipientRef)  # noqa: S101 - a mail's
    recipient = _recipient(to)
    context = event_context(event, recipient=recipient, delivery_id=delivery.id)
    mail = Occasion(rule.template, Channel.EMAIL.value, event, context, recipient["locale"])
    return mail if rule.window is None else _digest_of(mail, delivery.key)


def mistakes_of(one: Occasion, rule: Rule, renderer: Renderer) -> list[RenderError]:
    """In every language, and in the digest that collects what a throttle does not let through."""
    kinds = [one]
    throttle = rule.throttle
    if throttle is not None and throttle.overflow == "digest" and TRAITS[rule.channel].digests:
        kinds.append(_digest_of(one, ""))
    found = dict[str, RenderError]()
    for kind in kinds:
        for locale in dict.fromkeys([one.locale, *renderer.locales(kind.folder, kind.kind)]):
            found.update((str(error), error) for error in replace(kind, locale=locale).mistakes(renderer))
    return list(found.values())


def _digest_of(mail: Occasion, key: str) -> Occasion:
    context = {**mail.context, "digest": digest_context([mail.event], total=1, key=key)}
    return replace(mail, kind=Collecting.DIGEST.value, context=context)


def _recipient(to: Mailbox | RecipientRef) -> dict[str, str]:
    if isinstance(to, Mailbox):
        return {"id": to.recipient, "email": to.address, "name": to.name, "locale": to.locale, "timezone": to.timezone}
    return {"id": to.recipient, "email": "", "name": "", "locale": "", "timezone": ""}
