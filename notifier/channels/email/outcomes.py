"""What a relay's answer means: one table from `Transaction` to `Outcome` (RFC 5321, RFC 3463).

What a refusal is about is `engine.replies`' to say; one that is about us (policy, login) never counts against a
recipient.
"""

from __future__ import annotations

from notifier.domain.outcome import Cause, Deferred, NotTried, Outcome, Refused, Sent, clip
from notifier.engine.replies import enhanced_code, is_about_us, is_throttled
from notifier.engine.transaction import Accepted, Broken, Paused, Phase, Rejected, Transaction

#: The address does not exist or takes no mail: nothing is ever sent to it again.
NO_SUCH_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
#: Seconds until a mail for which no connection became free in time asks for one again.
CONNECTION_WAIT_S = 5.0
#: Steps whose refusal can be about the recipient; one transaction has one.
_ABOUT_RECIPIENT = frozenset({Phase.RCPT, Phase.DATA, Phase.DOT})


def classify(transaction: Transaction) -> Outcome | NotTried:
    """What follows from how the transaction ended."""
    if isinstance(transaction, Accepted):
        return Sent(f"smtp_{transaction.code}", clip(f"{transaction.code} {transaction.text}"))
    if isinstance(transaction, Paused):
        return NotTried("relay_paused" if transaction.down else "throttled", clip(transaction.why), transaction.seconds)
    if isinstance(transaction, Broken) and transaction.phase is Phase.QUEUE:
        # Others were slow; a try is what a relay has heard of.
        return NotTried("no_connection", clip(transaction.why), CONNECTION_WAIT_S)
    if isinstance(transaction, Broken):
        return Deferred(transaction.kind, clip(transaction.why), uncertain=transaction.uncertain)
    if transaction.code < 500:
        return _not_now(transaction)
    return _never(transaction)


def _not_now(rejected: Rejected) -> Outcome:
    return Deferred(_code(rejected), _reply(rejected), throttled=is_throttled(rejected))


def _never(rejected: Rejected) -> Outcome:
    enhanced = enhanced_code(rejected)
    code, reply = _code(rejected), _reply(rejected)
    if is_about_us(rejected):
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
