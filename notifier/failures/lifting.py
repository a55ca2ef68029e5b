"""`Lifting`: a replay of what bounced writes to that address again (decision 11), and lifts nothing else.

Only a bounce that was known when the delivery was parked: one that came later is another delivery's word, and says that
the address does not exist now. So a replay of a thousand mails to one dead address tries it once.
"""

from __future__ import annotations

from collections.abc import Sequence

from notifier.domain.contacts import contact_identity
from notifier.domain.delivery import Contact, Delivery, Destination, Mailbox, RecipientRef
from notifier.domain.outcome import Cause
from notifier.domain.parked import ParkedBatch
from notifier.domain.recipient import Recipient
from notifier.storage.recipients import Recipients
from notifier.storage.suppressions import Suppressions


class Lifting:
    """Takes bounces away for deliveries that are sent again."""

    def __init__(self, suppressions: Suppressions, recipients: Recipients) -> None:
        self._suppressions = suppressions
        self._recipients = recipients

    def lift(self, message: ParkedBatch, again: Sequence[Delivery]) -> None:
        """For those of ``again`` that were parked because their address does not exist."""
        parked = {entry.id: entry.parked_at for entry in message.parked if entry.cause is Cause.BAD_RECIPIENT}
        for delivery in again:
            if delivery.id in parked and (address := self._address(delivery.to)):
                self._suppressions.lift_bounce(self._suppressions.key_of(address), parked[delivery.id])

    def _address(self, to: Destination) -> str:
        """What its suppressions are kept under; empty where it goes to nobody's address, or to one that is gone."""
        if isinstance(to, Mailbox):
            return to.address
        if isinstance(to, Contact):
            return to.identity
        if not isinstance(to, RecipientRef) or (person := self._person(to)) is None:
            return ""
        if not to.contact:
            return person.email
        address = person.address_of(to.contact)
        return contact_identity(to.contact, address) if address else ""

    def _person(self, to: RecipientRef) -> Recipient | None:
        return self._recipients.get_many([to.recipient]).get(to.recipient)
