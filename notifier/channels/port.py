"""`DeliveryChannel`: what a channel does for a worker, and nothing of how a worker does the rest.

A worker claims, gates, records and retries without a word of mails or webhooks. Each channel fulfils this in a folder
of its own and is registered in one table (`wiring.channels`); `tests/contract/test_channels.py` holds all to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from notifier.domain.delivery import Delivery, Status
from notifier.domain.endpoint import Endpoint
from notifier.domain.event import Event
from notifier.domain.limit import ScopeKind
from notifier.domain.message import Message
from notifier.domain.outcome import Cause, NotTried, Outcome, Park
from notifier.domain.recipient import Recipient
from notifier.domain.retry import RetrySchedule
from notifier.domain.rule import Channel, Rule
from notifier.domain.suppression import Suppression
from notifier.domain.value import value
from notifier.errors import InvalidDestination, RenderError
from notifier.limits.places import Place
from notifier.rules.content import Content
from notifier.storage.ledger import Claimed, ClaimRequest


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
class Draft:
    """Rendered, not yet composed."""

    work: Work
    to: Any
    """Whom it goes to, as its channel knows them."""
    message: Message
    late: tuple[int, ...] = ()
    """See `Ready`."""


@value
class Ready:
    """Rendered and composed: the engine only has to send it."""

    work: Work
    outgoing: Any
    """What its channel's `send_all` takes."""
    template: str
    address: str = ""
    """Where it goes, as rules and recipients spell it, of a channel to people; suppressions are kept under its key."""
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


#: Called in the engine's loop when a try has ended: place, outcome, and the unix seconds when it began and ended.
Ended = Callable[[int, Outcome | NotTried, float, float], None]
#: Awaited just before a delivery may be gone, of rules with `uncertain: park`. Raises `ClaimLost`: then it stays.
Leaving = Callable[[Work], Awaitable[None]]


class DeliveryChannel(Protocol):
    """A way of delivering. What is ``async`` runs in the engine's loop, the rest in the hub's thread."""

    name: Channel
    schedule: RetrySchedule
    """When it tries again, of rules that say nothing else."""
    longest_send: float
    """Seconds after which every try has ended; leases are longer."""
    leaves_pending: bool
    """Whether a batch goes on without those that `is_slow` tells of: a copy of each then waits in the broker."""

    def render(self, work: Work, content: Content, directory: Directory, now: float) -> Draft | Withheld:
        """From templates. Raises `RenderError` or `InvalidDestination`: it is parked."""

    def compose(self, draft: Draft, content: Content, directory: Directory, now: float) -> Ready:
        """All that can be done before sending. Raises `RenderError` or `InvalidDestination`: it is parked.

        Apart from `render`, because a batch is rendered first and composed then: one delivery after the other would
        take a fifth longer, as the processor's caches then have to hold both steps.
        """

    async def send_all(self, ready: Sequence[Ready], ended: Ended, leaving: Leaving) -> None:
        """Send them, each from its `Work.start` on, and tell ``ended`` of each. Never raises for the other side."""

    def is_slow(self, ready: Ready) -> bool:
        """Whether the receiver of one that is under way is slow to answer. In the engine's loop."""

    def closed_for(self) -> float:
        """Seconds for which nothing of this channel can be sent; 0 when something can."""

    def places(self, work: Work, directory: Directory, limited: Collection[ScopeKind]) -> Iterator[Place]:
        """Which rate limits a delivery falls under; only those of ``limited`` kinds cost anything."""

    async def close(self) -> None:
        """Close its connections."""


def refused(work: Work, cause: Cause, why: str, template: str = "") -> Withheld:
    """Parked without a try."""
    return Withheld(work, Status.REFUSED, cause, Park(cause, why, cause), template)


def impossible(work: Work, content: Content, error: RenderError | InvalidDestination) -> Withheld:
    """What became of a delivery that `render` or `compose` raised for."""
    if isinstance(error, RenderError):
        return refused(work, Cause.RENDER_FAILED, str(error), content.renderer.hash(work.rule.template))
    return refused(work, Cause.BAD_DESTINATION, str(error))
