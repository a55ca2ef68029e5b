"""What a relay's answer means: one table from `Transaction` to `Outcome` (RFC 5321, RFC 3463).

The enhanced code (``5.1.1``) is trusted over the basic one (``550``) when both are of the same class. Refusals that are
about us (policy, login) never count against a recipient.
"""

from __future__ import annotations

import re

from notifier.domain.outcome import Cause, Deferred, Outcome, Refused, Sent, clip
from notifier.engine.transaction import Accepted, Broken, Phase, Rejected, Transaction

#: The address does not exist or takes no mail: nothing is ever sent to it again.
NO_SUCH_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
#: Basic codes that speak of our login, with or without an enhanced code.
LOGIN_CODES = frozenset({530, 534, 535, 538})
#: Basic codes with which relays say that we are too fast, if their words say so.
RATE_CODES = frozenset({450, 451, 452, 454})

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_RATE_WORDS = re.compile(r"\brate\b|\bthrottl|\btoo (?:many|fast|much)\b", re.IGNORECASE)
#: Steps whose refusal can be about the recipient; one transaction has one.
_ABOUT_RECIPIENT = frozenset({Phase.RCPT, Phase.DATA, Phase.DOT})
_ABOUT_US = frozenset({Phase.CONNECT, Phase.AUTH})


def classify(transaction: Transaction) -> Outcome:
    """What follows from how the transaction ended."""
    if isinstance(transaction, Accepted):
        return Sent(f"smtp_{transaction.code}", clip(f"{transaction.code} {transaction.text}"))
    if isinstance(transaction, Broken):
        return Deferred(transaction.kind, clip(transaction.why), uncertain=transaction.uncertain)
    if transaction.code < 500:
        return _not_now(transaction)
    return _never(transaction)


def enhanced_code(rejected: Rejected) -> str:
    """``5.1.1``, or nothing when there is none or its class contradicts the basic code."""
    found = _ENHANCED.match(rejected.text)
    return found[0] if found and int(found[1]) == rejected.code // 100 else ""


def _not_now(rejected: Rejected) -> Outcome:
    enhanced = enhanced_code(rejected)
    throttled = (
        rejected.code == 421
        or enhanced.startswith("4.7.")
        or (rejected.code in RATE_CODES and _RATE_WORDS.search(rejected.text) is not None)
    )
    return Deferred(_code(rejected), _reply(rejected), throttled=throttled)


def _never(rejected: Rejected) -> Outcome:
    enhanced = enhanced_code(rejected)
    code, reply = _code(rejected), _reply(rejected)
    if rejected.phase in _ABOUT_US or enhanced.startswith("5.7.") or rejected.code in LOGIN_CODES:
        return Deferred(code, reply, our_fault=True)
    if rejected.code == 552 and rejected.phase is Phase.RCPT:
        return Deferred(code, reply)  # RFC 5321 §4.5.3.1.10: read it as 452
    if enhanced in NO_SUCH_ADDRESS and rejected.phase in _ABOUT_RECIPIENT:
        return Refused(code, reply, cause=Cause.BAD_RECIPIENT, suppress=True)
    return Refused(code, reply)


def _code(rejected: Rejected) -> str:
    enhanced = enhanced_code(rejected)
    return f"smtp_{rejected.code}_{enhanced}" if enhanced else f"smtp_{rejected.code}"


def _reply(rejected: Rejected) -> str:
    return clip(f"{rejected.code} {rejected.text}")
