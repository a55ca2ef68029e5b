"""Gate and render: from a claimed delivery to what is ready to leave, or to the reason why it does not leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from notifier.channels.port import (
    DeliveryChannel,
    Directory,
    Draft,
    Prepared,
    Withheld,
    Work,
    impossible,
    refused,
)
from notifier.domain.contacts import contact_identity
from notifier.domain.delivery import RecipientRef, Status
from notifier.domain.endpoint import Endpoint
from notifier.domain.ids import recipient_key, suppression_keys
from notifier.domain.outcome import Cause
from notifier.domain.provider import Provider
from notifier.domain.recipient import Recipient
from notifier.domain.suppression import NOTHING, Part, Suppression
from notifier.errors import InvalidDestination, RenderError
from notifier.rules.content import Content
from notifier.worker.batch.copies import WHY, is_doubled
from notifier.worker.batch.recorder import now

#: Deliveries of a batch that are rendered before anybody knows whether they are ours: of more, the pauses between
#: them would hold the connection to Redis.
EARLY_MOST = 2


def render_early(
    channel: DeliveryChannel, work: Sequence[Work], content: Content, endpoints: Mapping[str, Endpoint]
) -> dict[str, Draft]:
    """Drafts of those for which nothing has to be looked up, by id of the delivery; while their claims are asked for.

    What cannot be rendered is left out: `prepare` finds the same, and tells it.
    """
    if len(work) > EARLY_MOST:
        return {}
    directory, drafts = Directory(endpoints, {}, {}), dict[str, Draft]()
    for one in work:
        if one.rule.template and one.delivery.copies is None and not isinstance(one.delivery.to, RecipientRef):
            with suppress(Exception):
                draft = channel.render(one, content, directory, now())
                if isinstance(draft, Draft):
                    drafts[one.delivery.id] = draft
    return drafts


def prepare(
    channel: DeliveryChannel,
    work: Sequence[Work],
    content: Content,
    directory: Directory,
    pause: Callable[[], None],
    *,
    early: Mapping[str, Draft],
) -> list[Prepared]:
    """Decide which of them go, and make what leaves; never raises for what a delivery contains.

    ``pause`` is called between any two steps; ``early`` has what was rendered already (`render_early`).
    """
    drafts = list[Draft | Withheld]()
    for one in work:
        pause()
        drafts.append(_render(channel, one, content, directory, now(), early=early.get(one.delivery.id)))
    prepared = list[Prepared]()
    for draft in drafts:
        pause()
        made = draft if isinstance(draft, Withheld) else _compose(channel, draft, content, directory, now())
        prepared.append(made)
    return prepared


def _render(
    channel: DeliveryChannel, work: Work, content: Content, directory: Directory, now: float, *, early: Draft | None
) -> Draft | Withheld:
    delivery = work.delivery
    if (unwanted := gate(work, directory, now)) is not None:
        return unwanted
    if delivery.copies is not None and is_doubled(delivery, directory.recipients):
        return Withheld(work, Status.SKIPPED, WHY)
    if work.claim.uncertain and work.rule.uncertain == "park":
        return refused(work, Cause.UNCERTAIN, "a worker ended while this was leaving; it may have been sent")
    if not work.rule.template:
        return refused(work, Cause.RULE_MISSING, f"this worker's templates/ has no rule {delivery.rule!r}")
    if early is not None:
        return replace(early, work=work)
    try:
        return channel.render(work, content, directory, now)
    except (RenderError, InvalidDestination) as error:
        return impossible(work, content, error)


def _compose(channel: DeliveryChannel, draft: Draft, content: Content, directory: Directory, now: float) -> Prepared:
    try:
        return channel.compose(draft, content, directory, now)
    except (RenderError, InvalidDestination) as error:
        return impossible(draft.work, content, error)


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
        return work.claim.suppressed.plus(*_against(person, work.rule.provider, directory))
    return work.claim.suppressed


def _against(person: Recipient, provider: Provider | None, directory: Directory) -> Iterator[Part]:
    """A mailbox that bounced says nothing of a phone; that somebody does not want to be written to does."""
    for key in suppression_keys(person.email) if person.email else ():
        known = directory.suppressed.get(key, NOTHING)
        yield from known.parts if provider is None else known.wishes
    if provider is not None and (at := person.address_of(provider.kind)):
        yield from directory.suppressed.get(recipient_key(contact_identity(provider.kind, at)), NOTHING).parts
