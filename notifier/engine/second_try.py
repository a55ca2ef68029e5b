"""Which mails go again in the same delivery, because what failed was the connection or our way of talking.

Only what says nothing about the mail: nothing of its content was taken, so it cannot arrive twice. One table; whatever
is not in it is the relay's answer.
"""

from __future__ import annotations

from typing import NamedTuple

from notifier.engine.relay_habits import Plainness, RelayHabits
from notifier.engine.replies import ReplyClass, classify
from notifier.engine.smtp import SmtpConnection
from notifier.engine.transaction import Broken, Phase, Rejected, Transaction

#: A mail goes again so often in one delivery; each time the connection that failed is closed.
MOST_AGAIN = 3
_CLOSING, _USED_UP = 421, 452


class Again(NamedTuple):
    """The mail goes again."""

    why: str
    plainness: Plainness = Plainness.AS_OFFERED
    """It was said less plainly than this and failed; the next time it is not."""
    too_many: bool = False
    """The relay serves fewer connections than there are."""


def goes_again(connection: SmtpConnection, ended: Transaction, habits: RelayHabits) -> Again | None:
    """Whether this end of a transaction on that connection is about the connection."""
    if isinstance(ended, Rejected):
        return _refused(connection, ended, habits)
    if isinstance(ended, Broken) and connection.awaits_replies and ended.kind in ("connection", "timeout"):
        return _lost(connection, ended, habits)
    return None


def is_dialogue(ended: Transaction) -> bool:
    """Whether it says nothing about how the relay wants to be talked to, or that this was not it."""
    return isinstance(ended, Broken) or (isinstance(ended, Rejected) and classify(ended) is ReplyClass.DIALOGUE)


def _refused(connection: SmtpConnection, rejected: Rejected, habits: RelayHabits) -> Again | None:
    meaning, before = classify(rejected), connection.carried - 1
    why = f"{rejected.phase}: {rejected.code} {rejected.text}"
    if meaning is ReplyClass.CONNECTIONS:
        return Again(why, too_many=True)
    if before and (meaning is ReplyClass.USED_UP or (rejected.code == _CLOSING and rejected.phase is Phase.MAIL)):
        if rejected.code == _USED_UP:
            habits.takes_only(before, why)
        else:
            _closed(connection, habits, why)
        return Again(why)
    if meaning is ReplyClass.DIALOGUE and rejected.phase is not Phase.DOT and (before or _plainer(connection)):
        return Again(why, _plainer(connection))
    return None


def _lost(connection: SmtpConnection, broken: Broken, habits: RelayHabits) -> Again | None:
    before = connection.carried - 1
    why = f"{broken.phase}: {broken.kind}: {broken.why}"
    if connection.was_announced:
        return Again(why, Plainness.AS_OFFERED if habits.announcing_works else Plainness.NOT_ANNOUNCED)
    if broken.phase is Phase.MAIL and broken.kind == "connection" and before:
        _closed(connection, habits, why)
        return Again(why)
    if connection.was_grouped and broken.phase is not Phase.MAIL and not habits.grouping_works:
        # It answered the first command and lost the others; one that answers nothing is ill.
        return Again(why, Plainness.ONE_BY_ONE)
    return None


def _closed(connection: SmtpConnection, habits: RelayHabits, why: str) -> None:
    """Relays close idle connections at any moment; one that was busy may have carried all it may."""
    before = connection.carried - 1
    if connection.rested_at != before:
        habits.closed_after(before, why)


def _plainer(connection: SmtpConnection) -> Plainness:
    if connection.was_announced:
        return Plainness.NOT_ANNOUNCED
    return Plainness.ONE_BY_ONE if connection.was_grouped else Plainness.AS_OFFERED
