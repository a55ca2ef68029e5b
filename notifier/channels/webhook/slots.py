"""Slots: how many exchanges run at once, in all and to one endpoint; and which endpoints are slow just now.

A receiver that hangs occupies its own slots until its deadlines pass, and nobody else's: an exchange that has waited
`LINGER_S` for its answer gives its share of the total back. Until then nobody knows, so endpoints that did not answer
soon the last time share half of the total: when many begin to hang at once, those that are known to be prompt have the
other half. One that has not answered at all is *unproven*, and starts slowly: `FIRST` exchanges, and no more until it
answers one of them. Waiting for a slot does not count against the deadline of the exchange, and is short: what finds
none goes back to the broker, which is where queues belong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from notifier.domain.look_again import step
from notifier.engine.priority_semaphore import Dismissed, PrioritySemaphore

#: Seconds after which an unanswered exchange is slow. Receivers commonly answer within a few tenths.
LINGER_S = 0.5
#: Seconds between looks for exchanges that have become slow, while any runs.
LOOK_EVERY_S = 0.1
#: Slow exchanges in all, as a multiple of the total: each keeps a socket and its body, nothing else.
SLOW_SHARE = 4
#: The same of an unproven endpoint, and the exchanges it has until its first answer. With as many and as long as others
#: have, unproven ones that hang take all that is shared, and batches that wait for them are all that a busy worker has
#: in hand: it stood still for half a second (measured with twenty of two hundred endpoints). And each is a try in vain.
UNPROVEN_LINGER_S, FIRST = 0.2, 2
#: Share of a new duration in an endpoint's mean. Small: a pause of our own process lengthens all exchanges under way at
#: once, and with 0.1 the twenty of one endpoint *were* its mean. Deliveries then went away for a second from endpoints
#: that took thousands a second.
_NEWEST = 0.02
#: So many endpoints that have answered are remembered for it, the newest; 100 bytes each.
KNOWN = 10_000
#: Slow exchanges that make a known endpoint one that hangs, when it has answered none for `HANGS_AFTER_S`. Each one
#: more would be a try in vain; those that merely take long have answers to show.
HANGING, HANGS_AFTER_S = 5, 2.0


@dataclass(slots=True)
class _Gate:
    own: PrioritySemaphore
    users: int = 0
    """Who has or awaits a slot; at 0 the gate is forgotten, so endpoints cost memory only while they are in use."""
    waiting: int = 0
    mean: float = 0.0
    """Seconds an exchange takes, lately."""
    slow: int = 0
    """Exchanges that wait for an answer for long."""
    slow_since: float = 0.0
    answered: float = 0.0
    """When it last answered; 0 for an unproven endpoint."""
    kept_back: int = 0
    """Slots it gets with its first answer."""

    def hangs(self, now: float) -> bool:
        """Whether more exchanges would only wait as well."""
        if not self.answered:
            return self.own.locked()
        return self.slow >= HANGING and now - max(self.answered, self.slow_since) >= HANGS_AFTER_S


class SlotLease:
    """One exchange's slots; give it to `Slots.release`."""

    __slots__ = ("gate", "receiver", "shared", "since", "slow")

    def __init__(self, receiver: str, gate: _Gate, since: float, shared: Sequence[PrioritySemaphore]) -> None:
        self.receiver = receiver
        self.gate = gate
        self.since = since
        self.slow = False
        self.shared = shared
        """Where it has a slot besides its endpoint's own."""


@dataclass(frozen=True, slots=True)
class Crowded:
    """No slot came free soon enough; nothing was begun."""

    why: str
    seconds: float
    """When it may be worth another look."""


class Slots:
    """Limits, taken in order: the endpoint's first, so that waiting for it occupies none of the shared ones."""

    def __init__(self, total: int, per_receiver: int) -> None:
        self._total = PrioritySemaphore(total)
        # One endpoint alone must not shut the others out.
        self._of_prompt = (self._total,)
        self._of_others = (PrioritySemaphore(min(total, max(total // 2, per_receiver + 1))), self._total)
        # Who has answered: whether soon the last time.
        self._known: dict[str, bool] = {}
        self._per_receiver = per_receiver
        self._slow_left = SLOW_SHARE * total
        self._gates: dict[str, _Gate] = {}
        # In the order they began, so that a look ends at the first one that is young.
        self._running: dict[SlotLease, None] = {}
        self._looking = False

    @property
    def receivers(self) -> int:
        """How many endpoints are in use or waited for."""
        return len(self._gates)

    @property
    def known(self) -> int:
        """How many endpoints are remembered for having answered."""
        return len(self._known)

    def is_slow(self, receiver: str) -> bool:
        """Whether an exchange with it has been waiting for its answer for long. From any thread."""
        gate = self._gates.get(receiver)
        return gate is not None and gate.slow > 0

    def pending_for(self, receiver: str, now: float) -> float:
        """How long an endpoint has been hanging; 0 when it may be tried. From any thread."""
        gate = self._gates.get(receiver)
        if gate is None or not gate.slow or not (gate.slow >= self._per_receiver or gate.hangs(now)):
            return 0.0
        return now - gate.slow_since

    async def acquire(self, receiver: str, patience: float) -> SlotLease | Crowded:
        """Every slot it needs, waiting for them for at most ``patience`` seconds; what is acquired must be released."""
        gate = self._gates.get(receiver) or self._open(receiver)
        gate.users += 1
        shared = self._of_prompt if self._known.get(receiver) else self._of_others
        try:
            if gate.slow or gate.own.locked() or any(slots.locked() for slots in shared):
                if (crowded := self._hopeless(gate, patience)) is not None:
                    self._leave(receiver, gate)
                    return crowded
                async with asyncio.timeout(patience):
                    await self._queue(gate, shared)
            else:
                await self._take(gate, shared)  # all are free: this never waits; a timer would cost more than they do
        except BaseException as error:
            self._leave(receiver, gate)
            if isinstance(error, Dismissed):
                return self._pending(gate)
            if isinstance(error, TimeoutError):
                return Crowded(f"no connection came free within {patience:g} s", step(self._wait(gate)))
            raise
        return self._begin(receiver, gate, shared)

    def release(self, lease: SlotLease, *, answered: bool) -> None:
        """Give its slots back. Whoever ``answered``, whatever it said, is unproven no longer."""
        gate = lease.gate
        ended = asyncio.get_running_loop().time()
        gate.mean += _NEWEST * (ended - lease.since - gate.mean)
        if lease.slow:
            gate.slow -= 1
            self._slow_left += 1
        else:
            del self._running[lease]
            self._give_back(lease)
        gate.own.release()
        if answered:
            gate.answered = ended
            while gate.kept_back:
                gate.kept_back -= 1
                gate.own.release()
            self._remember(lease.receiver, prompt=ended - lease.since < LINGER_S)
        elif lease.slow:
            self._known.pop(lease.receiver, None)
        self._leave(lease.receiver, gate)

    def _open(self, receiver: str) -> _Gate:
        known = receiver in self._known
        own = self._per_receiver if known else min(FIRST, self._per_receiver)
        answered = asyncio.get_running_loop().time() if known else 0.0
        gate = _Gate(PrioritySemaphore(own), answered=answered, kept_back=self._per_receiver - own)
        self._gates[receiver] = gate
        return gate

    def _hopeless(self, gate: _Gate, patience: float) -> Crowded | None:
        """Why waiting is of no use, if it is: a queue that is known to be long is not joined."""
        if gate.slow and (gate.own.locked() or gate.hangs(asyncio.get_running_loop().time())):
            return self._pending(gate)
        if (wait := self._wait(gate)) > patience:
            return Crowded(f"earlier webhooks to this endpoint will take another {wait:.1f} s", step(wait))
        return None

    def _pending(self, gate: _Gate) -> Crowded:
        # Half as long as it has been so: each delivery then looks again a handful of times, whatever the deadline.
        away = step((asyncio.get_running_loop().time() - gate.slow_since) / 2)
        return Crowded("earlier webhooks to this endpoint still wait for their answers", away)

    def _wait(self, gate: _Gate) -> float:
        return gate.waiting * gate.mean / self._per_receiver

    async def _queue(self, gate: _Gate, shared: Sequence[PrioritySemaphore]) -> None:
        gate.waiting += 1
        try:
            await self._take(gate, shared)
        finally:
            gate.waiting -= 1

    async def _take(self, gate: _Gate, shared: Sequence[PrioritySemaphore]) -> None:
        taken: list[PrioritySemaphore] = []
        try:
            for slots in (gate.own, *shared):
                await slots.acquire()
                taken.append(slots)
        except BaseException:
            for slots in taken:
                slots.release()
            raise

    def _give_back(self, lease: SlotLease) -> None:
        """What it has of the shared ones."""
        for slots in lease.shared:
            slots.release()

    def _remember(self, receiver: str, *, prompt: bool) -> None:
        self._known[receiver] = prompt
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]

    def _begin(self, receiver: str, gate: _Gate, shared: Sequence[PrioritySemaphore]) -> SlotLease:
        loop = asyncio.get_running_loop()
        lease = SlotLease(receiver, gate, loop.time(), shared)
        self._running[lease] = None
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_EVERY_S, self._look)
        return lease

    def _look(self) -> None:
        """Let the slow ones go from the shared slots. Runs only while something is under way."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        slow: list[SlotLease] = []
        for lease in self._running:
            if now - lease.since < UNPROVEN_LINGER_S or len(slow) >= self._slow_left:
                break
            if now - lease.since >= LINGER_S or not lease.gate.answered:
                slow.append(lease)
        for lease in slow:
            self._let_go(lease, now)
        self._looking = bool(self._running)
        if self._looking:
            loop.call_later(LOOK_EVERY_S, self._look)

    def _let_go(self, lease: SlotLease, now: float) -> None:
        del self._running[lease]
        lease.slow = True
        lease.gate.slow += 1
        if lease.gate.slow == 1:
            lease.gate.slow_since = lease.since
        self._slow_left -= 1
        if lease.receiver in self._known:
            self._known[lease.receiver] = False
        self._give_back(lease)
        if lease.gate.hangs(now):
            # As whoever comes now is told. Those in line would be left behind by their batches, at a message each.
            lease.gate.own.dismiss()

    def _leave(self, receiver: str, gate: _Gate) -> None:
        gate.users -= 1
        if gate.users == 0:
            del self._gates[receiver]
