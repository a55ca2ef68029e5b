"""Gate and render: from a claimed delivery to bytes that are ready to leave, or to the reason why it does not leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from notifier.channels.email.channel import EmailChannel, OutgoingEmail
from notifier.channels.email.composing import Asked, compose_by_rule
from notifier.channels.webhook.channel import OutgoingWebhook, WebhookChannel
from notifier.domain.delivery import Delivery, EndpointRef, Mailbox, RecipientRef, Status
from notifier.domain.endpoint import Endpoint, EndpointState
from notifier.domain.event import Event
from notifier.domain.ids import suppression_keys
from notifier.domain.message import EmailMessage, WebhookMessage
from notifier.domain.outcome import Cause
from notifier.domain.recipient import Recipient
from notifier.domain.rule import Rule
from notifier.domain.suppression import NOTHING, Suppression
from notifier.domain.value import value
from notifier.errors import InvalidDestination, RenderError
from notifier.rendering.context import digest_context, event_context
from notifier.rules.content import Content
from notifier.storage.ledger import Claimed, ClaimRequest
from notifier.worker.batch.copies import WHY, is_doubled
from notifier.worker.batch.recorder import now
from notifier.worker.decision import Park


@value
class Work:
    """One delivery this worker has claimed, with all it needs."""

    request: ClaimRequest
    event: Event
    rule: Rule
    claim: Claimed
    items: tuple[Event, ...] = ()
    """The events of a digest, oldest first."""
    start: float = 0.0
    """Unix seconds before which it must not leave, a moment away: a rate limit's."""

    @property
    def delivery(self) -> Delivery:
        """What is to be sent."""
        return self.request.delivery


@value
class Ready:
    """Rendered and composed: the engine only has to send it."""

    work: Work
    outgoing: OutgoingEmail | OutgoingWebhook
    template: str
    address: str = ""
    """Where a mail goes, as rules and recipients spell it; suppressions are kept under its key."""
    late: tuple[int, ...] = ()
    """Places of a digest's items that had expired and are not in it."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Not sent, on purpose or because it cannot be: the status to record and why, and where it is parked, if it is."""

    work: Work
    status: Status
    reason: str
    park: Park | None = None
    template: str = ""


Prepared = Ready | Withheld


@dataclass(frozen=True, slots=True)
class Directory:
    """What the batch's destinations name, fetched once for all of them."""

    endpoints: Mapping[str, Endpoint]
    recipients: Mapping[str, Recipient]
    suppressed: Mapping[str, Suppression]
    """Recipient key → why these recipients are suppressed; for addresses in the batch itself the claims say it."""


@value
class Draft:
    """Rendered, not yet composed."""

    work: Work
    to: Mailbox | Endpoint
    message: EmailMessage | WebhookMessage
    late: tuple[int, ...] = ()
    """See `Ready`."""


class Preparer:
    """Applies the gate and the templates to claimed deliveries; never raises for what a delivery contains."""

    def __init__(self, email: EmailChannel, webhook: WebhookChannel) -> None:
        self._email = email
        self._webhook = webhook

    def prepare(
        self, work: Sequence[Work], content: Content, directory: Directory, pause: Callable[[], None]
    ) -> list[Prepared]:
        """Decide which of them go, and make the bytes; ``pause`` is called between any two steps.

        All are rendered, then all composed: one delivery after the other would take a fifth longer, because the
        processor's caches then have to hold both steps.
        """
        drafts = list[Draft | Withheld]()
        for one in work:
            pause()
            drafts.append(self._render(one, content, directory, now()))
        prepared = list[Prepared]()
        for draft in drafts:
            pause()
            prepared.append(draft if isinstance(draft, Withheld) else self._compose(draft, content, directory, now()))
        return prepared

    def _render(self, work: Work, content: Content, directory: Directory, now: float) -> Draft | Withheld:
        delivery = work.delivery
        if (unwanted := gate(work, directory, now)) is not None:
            return unwanted
        if delivery.copies is not None and is_doubled(delivery, directory.recipients):
            return Withheld(work, Status.SKIPPED, WHY)
        if work.claim.uncertain and work.rule.uncertain == "park":
            return _refused(work, Cause.UNCERTAIN, "a worker ended while this was leaving; it may have been sent")
        if not work.rule.template:
            return _refused(work, Cause.RULE_MISSING, f"this worker's templates/ has no rule {delivery.rule!r}")
        try:
            if isinstance(delivery.to, EndpointRef):
                return _render_webhook(work, content, directory.endpoints.get(delivery.to.endpoint))
            return self._render_email(work, content, _mailbox(delivery.to, directory), now)
        except (RenderError, InvalidDestination) as error:
            return _impossible(work, content, error)

    def _render_email(self, work: Work, content: Content, to: Mailbox, now: float) -> Draft:
        rule, event, delivery = work.rule, work.event, work.delivery
        late = delivery.digest.late(now) if delivery.digest else ()
        context = event_context(
            event,
            recipient={"email": to.address, "name": to.name, "locale": to.locale, "timezone": to.timezone},
            delivery_id=delivery.id,
            unsubscribe_url=self._email.unsubscribe_url(to, rule),
            digest=_digest_context(work, late),
        )
        # Also of an email rule whose throttle collects the rest.
        is_digest = delivery.digest is not None or rule.window is not None
        render = content.renderer.digest if is_digest else content.renderer.email
        return Draft(work, to, render(rule.template, context, to.locale), late)

    def _compose(self, draft: Draft, content: Content, directory: Directory, now: float) -> Prepared:
        work, to, message = draft.work, draft.to, draft.message
        try:
            if isinstance(to, Endpoint):
                assert isinstance(message, WebhookMessage)  # noqa: S101 - rendered for this destination
                return Ready(work, self._webhook.prepare(work.delivery, work.event, to, message), message.template)
            assert isinstance(message, EmailMessage)  # noqa: S101 - rendered for this destination
            compiled = content.catalog.compiled(work.rule.id)
            asked = Asked(work.delivery, to, work.rule, compiled, work.event, message)
            outgoing = compose_by_rule(self._email, asked, lambda one: _known(one, directory), now)
        except (RenderError, InvalidDestination) as error:
            return _impossible(work, content, error)
        return Ready(work, outgoing, message.template, to.address, draft.late)


def _render_webhook(work: Work, content: Content, endpoint: Endpoint | None) -> Draft | Withheld:
    if endpoint is None:
        return Withheld(work, Status.SKIPPED, "the endpoint was removed")
    if endpoint.state is EndpointState.DISABLED and (why := endpoint.skipped_because):
        # Parked, so that it can be sent when the endpoint is enabled: nobody could publish the event again.
        park = Park(Cause.ENDPOINT_DISABLED, why, Cause.ENDPOINT_DISABLED)
        return Withheld(work, Status.SKIPPED, why, park)
    context = event_context(work.event, recipient=None, delivery_id=work.delivery.id)
    return Draft(work, endpoint, content.renderer.webhook(work.rule.template, work.event, context))


def _impossible(work: Work, content: Content, error: RenderError | InvalidDestination) -> Withheld:
    if isinstance(error, RenderError):
        return _refused(work, Cause.RENDER_FAILED, str(error), content.renderer.hash(work.rule.template))
    return _refused(work, Cause.BAD_DESTINATION, str(error))


def _refused(work: Work, cause: Cause, why: str, template: str = "") -> Withheld:
    return Withheld(work, Status.REFUSED, cause, Park(cause, why, cause), template)


def gate(work: Work, directory: Directory, now: float) -> Withheld | None:
    """Why nobody wants it any more: it has expired, or its recipient is not written to; None when they do."""
    expires = work.delivery.expires
    if expires is not None and now >= expires:
        return Withheld(work, Status.EXPIRED, f"expired {now - expires:.0f} s before it could be sent")
    digest = work.delivery.digest
    if digest is not None and digest.deliveries and len(digest.late(now)) == len(digest.deliveries):
        return Withheld(work, Status.EXPIRED, "all of its items expired before it could be sent")
    known = _suppressed(work, directory)
    if known and (reason := known.reason(work.rule.category, transactional=work.rule.transactional)):
        return Withheld(work, Status.SUPPRESSED, reason)
    return None


def _suppressed(work: Work, directory: Directory) -> Suppression:
    """Of the address; of a person known by id, of the address they have now and of the person's own key."""
    to = work.delivery.to
    if isinstance(to, RecipientRef) and (person := directory.recipients.get(to.recipient)) is not None:
        found = (directory.suppressed.get(key, NOTHING) for key in suppression_keys(person.email))
        return work.claim.suppressed.plus(*(part for known in found for part in known.parts))
    return work.claim.suppressed


def _mailbox(to: Mailbox | RecipientRef | EndpointRef, directory: Directory) -> Mailbox:
    if isinstance(to, Mailbox):
        return to
    identity = to.recipient if isinstance(to, RecipientRef) else to.endpoint
    person = directory.recipients.get(identity)
    if person is None:
        raise InvalidDestination(
            f"no recipient {identity!r} is stored; store one with `notifier recipients set`, then replay"
        )
    return _stored(person)


def _known(one: Mailbox | RecipientRef, directory: Directory) -> Mailbox | None:
    """Somebody the headers of a copy name; who is not stored any more is left out of them."""
    if isinstance(one, Mailbox):
        return one
    person = directory.recipients.get(one.recipient)
    return None if person is None else _stored(person)


def _stored(person: Recipient) -> Mailbox:
    return Mailbox(
        address=person.email, name=person.name, locale=person.locale, timezone=person.timezone, recipient=person.id
    )


def _digest_context(work: Work, late: Sequence[int]) -> dict[str, Any] | None:
    digest = work.delivery.digest
    if digest is None:
        return None
    items = [event for place, event in enumerate(work.items) if place not in late]
    return digest_context(
        items, total=digest.total - len(late), key=digest.key, opened=digest.opened, closed=digest.closed
    )
