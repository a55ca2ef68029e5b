"""Copies of one mail: a person who is named by an id and by their address gets one of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

from notifier.domain.delivery import Delivery, Mailbox, RecipientRef
from notifier.domain.ids import folded
from notifier.domain.recipient import Recipient

WHY = "the same address is in to or cc of this mail once more, and gets it there"


def is_doubled(delivery: Delivery, recipients: Mapping[str, Recipient]) -> bool:
    """Whether another delivery of the mail goes to the address that this delivery's id has now.

    The one by address is always sent, and of several ids the first: whose address changes meanwhile may get two, and
    nobody gets none.
    """
    copies, to = delivery.copies, delivery.to
    if copies is None or not isinstance(to, RecipientRef) or (person := recipients.get(to.recipient)) is None:
        return False
    people = (copies.to, *copies.cc)
    written = {folded(one.address) for one in people if isinstance(one, Mailbox)}
    for one in takewhile(lambda other: other != to, people):
        if isinstance(one, RecipientRef) and (earlier := recipients.get(one.recipient)) is not None:
            written.add(folded(earlier.email))
    return folded(person.email) in written
