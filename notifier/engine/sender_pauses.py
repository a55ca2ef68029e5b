"""`SenderPauses`: senders whose mails one relay refuses, and when one mail of theirs may ask again.

A rule's From may be one that our account must not use. Only mails of that sender wait then; those of others go on
beside them. What is kept is bounded, and nothing is kept of senders that are taken.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from notifier.engine.relay_breaker import FIRST_COOL_DOWN_S, LONGEST_COOL_DOWN_S, PROBE_LOOK_S
from notifier.engine.replies import ReplyClass, classify, enhanced_code
from notifier.engine.smtp import Mail
from notifier.engine.transaction import Accepted, Paused, Phase, Rejected, Transaction
from notifier.logs import get, wide

#: Refusals in a row before a sender is paused, and different senders of a domain before the domain is. What is told
#: when a recipient is named may be this recipient's server's opinion: then so many different domains have to say so.
REFUSALS_IN_A_ROW = 3
#: Senders and domains that are kept; beyond it the oldest is forgotten, and found again by its next refusals.
MOST_KEPT = 1000

#: Codes that say of the sender himself that he may not: 5.7.60 and 5.2.252 (Exchange's SendAsDenied).
UNMISTAKABLE = frozenset({"5.7.60", "5.2.252"})
_SENDAS_DENIED = re.compile(r"send ?as ?denied", re.IGNORECASE)
_WORDS_OF_DOMAIN = re.compile(r"\bdomain\b", re.IGNORECASE)

_log = get("relay")


@dataclass(frozen=True, slots=True)
class PausedSender:
    """What operators see of a sender that a relay refuses."""

    relay: str
    sender: str
    """An address, or ``@domain``."""
    reason: str
    since: float
    """Unix seconds."""
    probe_at: float
    """Unix seconds from which one of its mails may ask again."""


@dataclass(slots=True)
class _Trouble:
    """Of one sender, or of one domain."""

    at_mail: int = 0
    """Refusals in a row before a recipient was named."""
    recipients: set[str] = field(default_factory=set)
    """Domains whose mails were refused."""
    senders: set[str] = field(default_factory=set)
    """Addresses that were refused."""
    cool_down: float = FIRST_COOL_DOWN_S
    paused: PausedSender | None = None
    probe_at: float = 0.0

    @property
    def is_clear(self) -> bool:
        """Whether it is refused whoever the recipient is."""
        return max(self.at_mail, len(self.recipients)) >= REFUSALS_IN_A_ROW

    def note(self, sender: str, recipient: str, rejected: Rejected) -> None:
        """One more refusal."""
        self.at_mail += rejected.phase is Phase.MAIL
        for seen, name in ((self.recipients, _domain(recipient)), (self.senders, sender)):
            if len(seen) < REFUSALS_IN_A_ROW:
                seen.add(name)


class SenderPauses:
    """One relay's; lives in the engine's loop, `paused` is for any thread."""

    def __init__(self, relay: str, clock: Callable[[], float]) -> None:
        self.paused: tuple[PausedSender, ...] = ()
        self._relay = relay
        self._clock = clock
        self._troubles: dict[str, _Trouble] = {}

    def admits(self, mail: Mail) -> Paused | None:
        """None: this mail may leave, as a probe when its sender is paused."""
        if not self.paused:
            return None
        for name in _names(mail):
            trouble = self._troubles.get(name)
            if trouble is None or trouble.paused is None:
                continue
            now = self._clock()
            if now < trouble.probe_at:
                return Paused(self._relay, trouble.probe_at - now, trouble.paused.reason, down=False, sender=name)
            trouble.probe_at = now + PROBE_LOOK_S
        return None

    def ended(self, mail: Mail, transaction: Transaction) -> None:
        """A transaction ended."""
        if isinstance(transaction, Accepted):
            if self._troubles:
                for name in _names(mail):
                    self._drop(name)
        elif isinstance(transaction, Rejected) and classify(transaction) is ReplyClass.SENDER_REFUSED:
            self._refused(mail, transaction)

    def _refused(self, mail: Mail, rejected: Rejected) -> None:
        if mail.author and rejected.phase is not Phase.DOT:
            self._refused_return_path(mail, rejected)
            return
        # At the final dot it has read From, and knew the envelope's sender long before.
        sender = mail.author or mail.sender
        domain = _domain(sender)
        of_sender, of_domain = self._trouble(sender), self._trouble(domain)
        of_sender.note(sender, mail.recipient, rejected)
        of_domain.note(sender, mail.recipient, rejected)
        unmistakable = _is_unmistakable(rejected)
        about_domain = not unmistakable and _WORDS_OF_DOMAIN.search(rejected.text) is not None
        if of_domain.is_clear and (about_domain or len(of_domain.senders) >= REFUSALS_IN_A_ROW):
            self._pause(domain, of_domain, rejected)
        elif unmistakable or (of_sender.is_clear and not about_domain):
            self._pause(sender, of_sender, rejected)

    def _refused_return_path(self, mail: Mail, rejected: Rejected) -> None:
        """Every mail has it, and perhaps each with a local part of its own (VERP): its domain is what is refused."""
        domain = _domain(mail.sender)
        trouble = self._trouble(domain)
        trouble.note(mail.sender, mail.recipient, rejected)
        if trouble.is_clear or _is_unmistakable(rejected):
            self._pause(domain, trouble, rejected)

    def _trouble(self, name: str) -> _Trouble:
        if name not in self._troubles and len(self._troubles) >= MOST_KEPT:
            self._drop(next(iter(self._troubles)))
        return self._troubles.setdefault(name, _Trouble())

    def _pause(self, name: str, trouble: _Trouble, rejected: Rejected) -> None:
        now, before = self._clock(), trouble.paused
        if before is not None and now < before.probe_at:
            return  # it was under way when the sender was paused
        trouble.cool_down = FIRST_COOL_DOWN_S if before is None else min(2 * trouble.cool_down, LONGEST_COOL_DOWN_S)
        trouble.probe_at = now + trouble.cool_down
        reason = f"{rejected.phase}: {rejected.code} {rejected.text}"
        since = now if before is None else before.since
        trouble.paused = PausedSender(self._relay, name, reason, since, trouble.probe_at)
        self._show()
        if before is None:
            about = {"relay": self._relay, "sender": name, "reason": reason, "probe_in_s": trouble.cool_down}
            wide(_log, "sender.paused", level=logging.WARNING, **about)

    def _drop(self, name: str) -> None:
        trouble = self._troubles.pop(name, None)
        if trouble is None or trouble.paused is None:
            return
        self._show()
        paused_s = round(self._clock() - trouble.paused.since, 1)
        wide(_log, "sender.resumed", relay=self._relay, sender=name, paused_s=paused_s)

    def _show(self) -> None:
        self.paused = tuple(one.paused for one in self._troubles.values() if one.paused is not None)


def _names(mail: Mail) -> tuple[str, ...]:
    """What may be paused because of this mail's senders."""
    if not mail.author:
        return mail.sender, _domain(mail.sender)
    return mail.sender, _domain(mail.sender), mail.author, _domain(mail.author)


def _domain(address: str) -> str:
    return "@" + address.rpartition("@")[2].lower()


def _is_unmistakable(rejected: Rejected) -> bool:
    return enhanced_code(rejected) in UNMISTAKABLE or _SENDAS_DENIED.search(rejected.text) is not None
