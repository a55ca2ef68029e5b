"""Claim a batch's deliveries and sort them: ours to send now, somebody else's, not due yet, or done long ago."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from notifier.channels.port import Work
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Status
from notifier.domain.look_again import NotNow, look_again
from notifier.domain.rule import Channel, Rule
from notifier.rules.content import Content
from notifier.storage.claims import claim_request
from notifier.storage.ledger import Busy, Claim, Claimed, ClaimRequest, Done, Ledger, NotYet
from notifier.worker.batch.recorder import now
from notifier.worker.outage import retry_while_down

#: Before anybody has asked; nothing is recorded under fence 0.
_UNCLAIMED = Claimed(fence=0, tries=0)


@dataclass(slots=True)
class Claims:
    """How a batch's claims came out."""

    work: list[Work] = field(default_factory=list)
    later: list[tuple[Delivery, int]] = field(default_factory=list)
    """Deliveries to look at again, with the seconds to wait: another worker has them, or their time has not come."""
    orphans: list[Delivery] = field(default_factory=list)
    """Deliveries another worker has, or had: its batch came back, so it may have died a moment ago."""
    ended: list[tuple[Delivery, Status]] = field(default_factory=list)
    """Deliveries that had come to an end before."""


def work_of(batch: Batch, content: Content) -> list[Work]:
    """A batch's deliveries with all they need but the claim."""
    return [_work(batch, claim_request(batch, delivery), content) for delivery in batch.deliveries]


def claim_all(
    work: Sequence[Work],
    ledger: Ledger,
    owner: str,
    lease: float,
    *,
    patient: bool = False,
    meanwhile: Callable[[], None] | None = None,
) -> Claims:
    """Claim all of a batch in one round trip, waiting for Redis.

    ``patient``: what another worker has is an orphan, worth a second look; otherwise it is for later. ``meanwhile`` is
    called once, while Redis works.
    """
    claims = Claims()
    answers = claim(ledger, [one.request for one in work], owner, lease, meanwhile)
    for one, answer in zip(work, answers, strict=True):
        match answer:
            case Claimed():
                claims.work.append(replace(one, claim=answer))
            case Busy() if patient and answer.owner != owner:
                claims.orphans.append(one.delivery)
            case Busy():
                claims.later.append((one.delivery, look_again(NotNow.BUSY, answer.retry_in)))
            case NotYet():
                claims.later.append((one.delivery, look_again(NotNow.NOT_DUE, answer.retry_in)))
            case Done():
                claims.ended.append((one.delivery, answer.status))
    return claims


def claim(
    ledger: Ledger,
    requests: Sequence[ClaimRequest],
    owner: str,
    lease: float,
    meanwhile: Callable[[], None] | None = None,
) -> list[Claim]:
    """Claim deliveries, waiting for Redis; one nonce for all tries, or a claim whose reply was lost would look Busy."""
    # Of all claims of one owner's life; nobody has to be unable to guess it, and the system's generator would give the
    # GIL away in the middle of a batch.
    nonce = f"{random.getrandbits(32):08x}"
    ask = partial(ledger.claim, requests, owner=owner, lease=lease, nonce=nonce, meanwhile=meanwhile)
    return retry_while_down(lambda: ask(now=now()), "claim deliveries")


def _work(batch: Batch, request: ClaimRequest, content: Content) -> Work:
    delivery = request.delivery
    items = tuple(batch.events[i] for i in delivery.digest.items) if delivery.digest else ()
    rule = content.catalog.rule(delivery.rule) or _unknown(delivery.rule, batch)
    return Work(request, batch.events[delivery.event], rule, _UNCLAIMED, items)


def _unknown(rule: str, batch: Batch) -> Rule:
    """A rule nobody here knows, recognised by its empty template: a newer release planned it, or it was deleted."""
    channel = batch.channel if isinstance(batch.channel, Channel) else Channel.EMAIL
    return Rule(rule, "", channel, template="", category="", transactional=True)
