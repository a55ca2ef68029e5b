"""`RateWatch`: what got through each relay and to each domain, and who said that we are too fast.

Written in the engine's loop, once per mail; read by the worker after a batch. Rates are only told when somebody
complains, so all there is to keep is the count of this second and the one before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from notifier.domain.limit import Kind, Scope
from notifier.engine.relay_breaker import Clock
from notifier.engine.replies import is_about_recipient, is_throttled
from notifier.engine.transaction import Accepted, Rejected, Transaction

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
    __slots__ = ("before", "now", "second")

    def __init__(self, second: int) -> None:
        self.second, self.now, self.before = second, 0, 0

    def begin(self, second: int) -> None:
        self.before = self.now if second == self.second + 1 else 0
        self.second, self.now = second, 1


class RateWatch:
    """Counts what is accepted and collects complaints."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[str, _Count] = {}
        self._complaints: deque[Complaint] = deque(maxlen=MOST_COMPLAINTS)

    def note(self, transaction: Transaction, recipient: str) -> None:
        """After each transaction; in the engine's loop."""
        if isinstance(transaction, Accepted):
            second = int(self._clock())
            self._count(transaction.relay, second)
            self._count(domain_of(recipient), second)
        elif isinstance(transaction, Rejected) and transaction.code < 500 and is_throttled(transaction):
            name = domain_of(recipient) if is_about_recipient(transaction) else transaction.relay
            kind = Kind.DOMAIN if is_about_recipient(transaction) else Kind.RELAY
            reply = f"{transaction.code} {transaction.text}"
            self._complaints.append(Complaint(Scope(kind, name), self._rate(name), reply))

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

    def _count(self, name: str, second: int) -> None:
        count = self._counts.get(name)
        if count is not None and count.second == second:
            count.now += 1
            return
        if count is None:
            if len(self._counts) >= MOST_COUNTED:
                self._counts.clear()
            count = self._counts[name] = _Count(second)
        count.begin(second)

    def _rate(self, name: str) -> float:
        """Of the last second: this one's mails, and its missing part of the one before."""
        count, now = self._counts.get(name), self._clock()
        if count is None:
            return 1.0
        age = int(now) - count.second
        this, before = (count.now, count.before) if age == 0 else (0, count.now if age == 1 else 0)
        return max(1.0, this + before * (1 - now % 1))


def domain_of(address: str) -> str:
    """The domain of an address, as limits name it."""
    return address.rpartition("@")[2].lower()
