"""Gate and render: from a claimed delivery to what is ready to leave, or to the reason why it does not leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from notifier.domain.delivery import RecipientRef, Status
from notifier.domain.ids import suppression_keys
from notifier.domain.outcome import Cause
from notifier.domain.suppression import NOTHING, Suppression
from notifier.errors import InvalidDestination, RenderError
from notifier.rules.content import Content
from notifier.worker.batch.copies import WHY, is_doubled
from notifier.worker.batch.recorder import now


def prepare(
    channel: DeliveryChannel, work: Sequence[Work], content: Content, directory: Directory, pause: Callable[[], None]
) -> list[Prepared]:
    """Decide which of them go, and make what leaves; never raises for what a delivery contains.

    ``pause`` is called between any two steps.
    """
    drafts = list[Draft | Withheld]()
    for one in work:
        pause()
        drafts.append(_render(channel, one, content, directory, now()))
    prepared = list[Prepared]()
    for draft in drafts:
        pause()
        made = draft if isinstance(draft, Withheld) else _compose(channel, draft, content, directory, now())
        prepared.append(made)
    return prepared


def _render(
    channel: DeliveryChannel, work: Work, content: Content, directory: Directory, now: float
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
        found = (directory.suppressed.get(key, NOTHING) for key in suppression_keys(person.email))
        return work.claim.suppressed.plus(*(part for known in found for part in known.parts))
    return work.claim.suppressed
