"""What follows from a relay's answer: from `Transaction` to `Outcome`.

What a refusal means is `engine.replies`' to say; one that is about us never counts against a recipient.
"""

from __future__ import annotations

from notifier.domain.outcome import Cause, Deferred, NotTried, Outcome, Refused, Sent, clip
from notifier.engine import replies
from notifier.engine.replies import ReplyClass, enhanced_code
from notifier.engine.transaction import Accepted, Broken, Paused, Phase, Rejected, Transaction

#: Seconds until a mail for which no connection became free in time asks for one again.
CONNECTION_WAIT_S = 5.0
#: Greylisting servers take a mail from about five minutes on (postgrey's delay is 300 s, milter-greylist's as well).
GREYLISTED_FOR_S = 300.0

#: It wants less of us.
_TOO_MUCH = frozenset({ReplyClass.RELAY_RATE, ReplyClass.DOMAIN_RATE, ReplyClass.CONNECTIONS, ReplyClass.USED_UP})
#: Operators can mend it; the recipient has no part in it.
_OURS = frozenset({ReplyClass.SENDER_REFUSED, ReplyClass.LOGIN, ReplyClass.CLIENT_REFUSED, ReplyClass.DIALOGUE})


def classify(transaction: Transaction) -> Outcome | NotTried:
    """What follows from how the transaction ended."""
    if isinstance(transaction, Accepted):
        return Sent(f"smtp_{transaction.code}", clip(f"{transaction.code} {transaction.text}"))
    if isinstance(transaction, Paused):
        return NotTried(_waits_for(transaction), clip(transaction.why), transaction.seconds)
    if isinstance(transaction, Broken) and transaction.phase is Phase.QUEUE:
        # Others were slow; a try is what a relay has heard of.
        return NotTried("no_connection", clip(transaction.why), CONNECTION_WAIT_S)
    if isinstance(transaction, Broken):
        return Deferred(transaction.kind, clip(transaction.why), uncertain=transaction.uncertain)
    return _refused(transaction)


def _waits_for(paused: Paused) -> str:
    if paused.sender:
        return "sender_paused"
    return "relay_paused" if paused.down else "throttled"


def _refused(rejected: Rejected) -> Outcome:
    meaning = replies.classify(rejected)
    code, reply = _code(rejected), clip(f"{rejected.code} {rejected.text}")
    if meaning is ReplyClass.NO_MAILBOX:
        return Refused(code, reply, cause=Cause.BAD_RECIPIENT, suppress=True)
    if meaning is ReplyClass.MAIL_REFUSED:
        return Refused(code, reply)
    if meaning is ReplyClass.GREYLISTED:
        return Deferred(code, reply, in_vain_for=GREYLISTED_FOR_S)
    return Deferred(code, reply, throttled=meaning in _TOO_MUCH, our_fault=meaning in _OURS)


def _code(rejected: Rejected) -> str:
    enhanced = enhanced_code(rejected)
    return f"smtp_{rejected.code}_{enhanced}" if enhanced else f"smtp_{rejected.code}"
