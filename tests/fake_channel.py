"""A channel that sends nothing, at the world's edge: its outcomes are what a test says, the rest is the worker's."""

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence

from notifier.channels.each import send_each
from notifier.channels.port import Directory, Draft, Ended, Leaving, Ready, Withheld, Work
from notifier.domain.delivery import Mailbox
from notifier.domain.limit import ScopeKind
from notifier.domain.message import EmailMessage
from notifier.domain.outcome import NotTried, Outcome, Sent
from notifier.domain.retry import RetrySchedule
from notifier.domain.rule import Channel
from notifier.limits.places import Place
from notifier.rules.content import Content

SENT = Sent("fake_200", "200 taken")


class FakeChannel:
    """Fulfils `port.DeliveryChannel`; nothing is looked up and nothing rendered."""

    def __init__(self, name: Channel = Channel.EMAIL, *, leaves_pending: bool = False) -> None:
        self.name = name
        self.schedule = RetrySchedule((10.0, 20.0), jitter=0.0)
        self.longest_send = 5.0
        self.leaves_pending = leaves_pending
        self.outcomes: dict[str, list[Outcome | NotTried | Exception]] = {}
        """Delivery id → what its tries come to, in turn; after the last one, and of others, it is sent."""
        self.sent: list[str] = []
        """Ids of deliveries that were tried, in the order they were."""
        self.marks = False
        """Whether it says when a delivery of a rule with `uncertain: park` is about to leave."""
        self.hangs: dict[str, asyncio.Event] = {}
        """Delivery id → what its try waits for; made and set in the engine's loop."""
        self.closed = 0.0

    def render(self, work: Work, content: Content, directory: Directory, now: float) -> Draft | Withheld:
        return Draft(work, work.delivery.to, EmailMessage("subject", "text", "", "template"))

    def compose(self, draft: Draft, content: Content, directory: Directory, now: float) -> Ready:
        address = draft.to.address if isinstance(draft.to, Mailbox) else ""
        return Ready(draft.work, draft.work.delivery.id, "template", address)

    async def send_all(self, ready: Sequence[Ready], ended: Ended, leaving: Leaving) -> None:
        async def send(one: Ready) -> Outcome | NotTried:
            if self.marks and one.work.rule.uncertain == "park":
                await leaving(one.work)
            self.sent.append(one.outgoing)
            if (hanging := self.hangs.get(one.outgoing)) is not None:
                await hanging.wait()
            script = self.outcomes.get(one.outgoing)
            outcome = script.pop(0) if script else SENT
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        await send_each(ready, send, ended)

    def is_slow(self, ready: Ready) -> bool:
        return ready.outgoing in self.hangs

    def closed_for(self) -> float:
        return max(0.0, self.closed - time.time()) if self.closed else 0.0

    def places(self, work: Work, directory: Directory, limited: Collection[ScopeKind]) -> Iterator[Place]:
        yield ScopeKind.TENANT, work.event.tenant, None
        yield ScopeKind.RULE, work.rule.id, work.rule.limit

    async def close(self) -> None:
        """There is nothing to close."""
