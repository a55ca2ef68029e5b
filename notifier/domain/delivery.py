"""`Delivery`: one thing to send to one destination, and the only table that says how its status may move."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from notifier.domain.contacts import MAX_ADDRESS, contact_identity
from notifier.domain.rule import WorkKind
from notifier.domain.value import value


class Status(StrEnum):
    """Where a delivery stands. The first four are on their way; the rest are ends that only a replay may reopen."""

    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    HELD = "held"
    SENT = "sent"
    REFUSED = "refused"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    SKIPPED = "skipped"


class Kept(StrEnum):
    """Where a record was found."""

    LEDGER = "ledger"
    """Redis."""
    HISTORY = "history"
    """PostgreSQL."""


#: Of deliveries on their way.
OPEN = frozenset({Status.QUEUED, Status.SENDING, Status.DEFERRED, Status.HELD})
_OPEN = {Status.SENDING, Status.EXPIRED, Status.SUPPRESSED, Status.SKIPPED, Status.HELD, Status.REFUSED}
#: status → the statuses it may become. `storage/scripts` is generated from this table; nothing else moves a status.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset(_OPEN),
    Status.SENDING: frozenset(
        {Status.SENDING, Status.QUEUED, Status.SENT, Status.DEFERRED, Status.REFUSED, Status.EXHAUSTED, Status.EXPIRED}
        | {Status.SUPPRESSED, Status.SKIPPED, Status.HELD}
    ),
    Status.DEFERRED: frozenset(_OPEN | {Status.EXHAUSTED}),
    Status.HELD: frozenset({Status.QUEUED, Status.SENDING, Status.SENT, Status.EXPIRED, Status.SKIPPED}),
    Status.REFUSED: frozenset({Status.QUEUED}),
    Status.EXHAUSTED: frozenset({Status.QUEUED}),
    Status.EXPIRED: frozenset(),
    Status.SUPPRESSED: frozenset({Status.QUEUED}),
    Status.SKIPPED: frozenset({Status.QUEUED}),
    Status.SENT: frozenset(),
}


def may_become(current: Status, following: Status) -> bool:
    """Whether a delivery may move from ``current`` to ``following``."""
    return following in TRANSITIONS[current]


#: Why an item is held, until it follows its digest.
WAITS_FOR_DIGEST = "waits for its digest"
_WITH_DIGEST = "in digest "


def with_digest(digest_id: str, reason: str = "") -> str:
    """The reason of an item that ended with its digest; ``reason`` is the digest's own."""
    return f"{_WITH_DIGEST}{digest_id}" + (f": {reason}" if reason else "")


def went_with_digest(reason: str) -> bool:
    """Whether an item ended with its digest: then that is parked and replayed, not the item."""
    return reason.startswith(_WITH_DIGEST)


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Mailbox(_Wire):
    """Where an email goes."""

    address: Annotated[str, Field(min_length=3, max_length=320)]
    name: str = ""
    locale: str = ""
    timezone: str = ""
    recipient: str = ""
    """The recipient's id, when the rule named one."""

    @property
    def identity(self) -> str:
        """What makes two destinations the same one; the address without case, so one event mails a person once."""
        return "mailto:" + self.address.strip().casefold()


class EndpointRef(_Wire):
    """Where a webhook goes: a registered endpoint, looked up when it is sent so that a rotated secret is used."""

    endpoint: Annotated[str, Field(min_length=1, max_length=64)]

    @property
    def identity(self) -> str:
        """What makes two destinations the same one."""
        return "endpoint:" + self.endpoint


class RecipientRef(_Wire):
    """A person known by id: the worker looks the address up when it sends, so a changed address is used."""

    recipient: Annotated[str, Field(min_length=1, max_length=256)]
    contact: Annotated[str, Field(max_length=32)] = ""
    """Which of their addresses it goes to, where that is not their email: ``phone``, ``slack``."""

    @property
    def identity(self) -> str:
        """What makes two destinations the same one."""
        return "recipient:" + self.recipient


class Contact(_Wire):
    """Where a provider reaches somebody: a phone number, or an address that only it knows."""

    contact: Annotated[str, Field(min_length=1, max_length=32)]
    """Of which kind: ``phone``, ``slack``."""
    at: Annotated[str, Field(min_length=1, max_length=MAX_ADDRESS)]
    name: str = ""
    locale: str = ""
    timezone: str = ""

    @property
    def identity(self) -> str:
        """What makes two destinations the same one."""
        return contact_identity(self.contact, self.at)


class ChannelRef(_Wire):
    """The one place that a provider's file names: a chat's room."""

    channel: Annotated[str, Field(min_length=1, max_length=32)]

    @property
    def identity(self) -> str:
        """What makes two destinations the same one."""
        return "channel:" + self.channel


Destination = Mailbox | EndpointRef | RecipientRef | Contact | ChannelRef


class Copies(_Wire):
    """What the headers of a mail with copies show, which is the same in all of them."""

    to: Mailbox | RecipientRef
    cc: list[Mailbox | RecipientRef]


class DigestItems(_Wire):
    """The items of one closed digest window, carried by the delivery that sends them."""

    items: list[int]
    """Indexes into the batch's events, oldest first."""
    total: int
    """Items collected, also when the list was capped."""
    deliveries: list[str] = []
    """Ids of the items' own deliveries, which are sent when this one is."""
    key: str = ""
    opened: float = 0
    closed: float = 0
    expires: list[float] = []
    """When each of ``items`` is of no use any more, in unix seconds; 0 is never, and empty means none ever is."""

    def late(self, now: float) -> tuple[int, ...]:
        """Places of the items that have expired: they are left out of what is sent."""
        return tuple(place for place, end in enumerate(self.expires) if end and now >= end)


class Delivery(_Wire):
    """One thing to send to one destination, as it travels in a `Batch`."""

    id: str
    event: int
    """Index into the batch's events."""
    rule: str
    to: Destination
    attempt: int = 0
    """Tries already made when this message was published; a copy that is behind the ledger is recognised by it."""
    queued: float = 0
    """Unix seconds when it was planned."""
    expires: float | None = None
    """Unix seconds after which nothing is sent."""
    key: str = ""
    """What `key` of the rule's digest or throttle gave; part of the id of digest items only."""
    waited: str = ""
    """Marks (`limit.ScopeKind.mark`) of the rate limits in whose line this try has waited already."""
    digest: DigestItems | None = None
    copies: Copies | None = None
    """Whom the mail is shown to be to, when its rule sends copies."""


@value
class Attempt:
    """One try at a delivery, immutable once recorded."""

    number: int
    started: float
    """Unix seconds."""
    duration: float
    """Seconds."""
    outcome: str
    """sent | deferred | refused."""
    code: str
    reply: str
    worker: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON output."""
        return {name: getattr(self, name) for name in type(self).__annotations__}


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """What the ledger knows of one delivery."""

    id: str
    event: str
    """`Event.key`."""
    rule: str
    channel: WorkKind
    destination: str
    """Masked for people: ``a…@example.org`` or an endpoint id; the address itself stays encrypted at rest."""
    status: Status
    reason: str
    """Why it is held, skipped, suppressed, refused or exhausted; empty otherwise."""
    tries: int
    queued: float
    updated: float
    next_try: float | None
    template: str
    """Content hash of the template that rendered the last try."""
    attempts: tuple[Attempt, ...]
    kept_in: Kept = Kept.LEDGER
