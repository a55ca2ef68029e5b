"""`RateWatch`: what got through each relay and to each domain, and who said that we are too fast.

Written in the engine's loop, once per mail; read by the worker after a batch. One reply says little: it may be about a
mailbox, or come in a second in which hardly anything was sent. A complaint is told when the same relay or domain made
several within a moment in which mails were flowing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from notifier.domain.limit import Scope, ScopeKind
from notifier.engine.relay_breaker import Clock
from notifier.engine.replies import ReplyClass, classify
from notifier.engine.transaction import Accepted, Rejected, Transaction

#: Seconds that are one moment: complaints and what got through are counted over it.
BUSY_S = 5
#: Complaints of one relay or domain within it before its rate is thought to be too high.
COMPLAINTS_IN_A_MOMENT = 3
#: Different domains that complain within it: then it is the relay that is too slow for us.
DOMAINS_IN_A_MOMENT = 3
#: Relays and domains that are counted; a mailing to more domains than this counts those of the last moments.
MOST_COUNTED = 5000
#: Complaints that wait to be read; further ones of the same moment say nothing new.
MOST_COMPLAINTS = 100


@dataclass(frozen=True, slots=True)
class Complaint:
    """A relay or domain that said we are too fast."""

    scope: Scope
    measured: float
    """Mails a second that this worker got through; at least 1."""
    reply: str


class _Count:
    """Mails of the present second, and of those before it in the same moment."""

    __slots__ = ("before", "now", "second")

    def __init__(self, second: int) -> None:
        self.second, self.now = second, 1
        self.before: list[tuple[int, int]] = []

    def begin(self, second: int) -> None:
        self.before = [one for one in (*self.before, (self.second, self.now)) if one[0] > second - BUSY_S]
        self.second, self.now = second, 1

    def rate(self, now: float) -> float:
        """Mails a second over the last moment, from the first of them on; 0 when nothing got through."""
        counted = [one for one in (*self.before, (self.second, self.now)) if one[0] > now - 1 - BUSY_S]
        return sum(mails for _, mails in counted) / max(1.0, now - counted[0][0]) if counted else 0.0


class RateWatch:
    """Counts what is accepted and collects complaints."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[str, _Count] = {}
        self._complaints: deque[Complaint] = deque(maxlen=MOST_COMPLAINTS)
        self._said: dict[Scope, deque[float]] = {}
        self._domains: dict[tuple[str, str], float] = {}

    def note(self, transaction: Transaction, recipient: str) -> None:
        """After each transaction; in the engine's loop."""
        if isinstance(transaction, Accepted):
            second = int(self._clock())
            for name in (transaction.relay, domain_of(recipient)):
                count = self._counts.get(name)
                if count is not None and count.second == second:
                    count.now += 1
                else:
                    self._begin(name, count, second)
        elif isinstance(transaction, Rejected):
            meaning = classify(transaction)
            if meaning is ReplyClass.RELAY_RATE:
                self._hear(Scope(ScopeKind.RELAY, transaction.relay), transaction)
            elif meaning is ReplyClass.DOMAIN_RATE:
                self._hear(self._whose(transaction.relay, domain_of(recipient)), transaction)

    def _whose(self, relay: str, domain: str) -> Scope:
        """The domain's complaint, unless others complain as well."""
        now = self._clock()
        if len(self._domains) >= MOST_COMPLAINTS:
            self._domains.clear()
        self._domains[relay, domain] = now
        self._domains = {one: said for one, said in self._domains.items() if said > now - BUSY_S}
        together = sum(one[0] == relay for one in self._domains)
        return Scope(ScopeKind.RELAY, relay) if together >= DOMAINS_IN_A_MOMENT else Scope(ScopeKind.DOMAIN, domain)

    def _hear(self, scope: Scope, rejected: Rejected) -> None:
        now = self._clock()
        if scope not in self._said and len(self._said) >= MOST_COMPLAINTS:
            self._said.clear()
        said = self._said.setdefault(scope, deque(maxlen=COMPLAINTS_IN_A_MOMENT))
        said.append(now)
        if len(said) < COMPLAINTS_IN_A_MOMENT or said[0] < now - BUSY_S:
            return
        count = self._counts.get(scope.name)
        if count is not None and (rate := count.rate(now)):
            reply = f"{rejected.code} {rejected.text}"
            self._complaints.append(Complaint(scope, max(1.0, rate), reply))

    def complaints(self) -> list[Complaint]:
        """Those since the last call, the last one of each relay and domain; from any thread."""
        found: dict[Scope, Complaint] = {}
        while self._complaints:
            complaint = self._complaints.popleft()
            found[complaint.scope] = complaint
        return list(found.values())

    def went_through(self, scopes: Iterable[Scope]) -> list[Scope]:
        """Those of them that took a mail in this second or the one before; from any thread."""
        recent = int(self._clock()) - 1
        return [s for s in scopes if (count := self._counts.get(s.name)) is not None and count.second >= recent]

    def _begin(self, name: str, count: _Count | None, second: int) -> None:
        if count is None:
            if len(self._counts) >= MOST_COUNTED:
                self._counts.clear()
            self._counts[name] = _Count(second)
        else:
            count.begin(second)


def domain_of(address: str) -> str:
    """The domain of an address, as limits name it."""
    return address.rpartition("@")[2].lower()
