"""`Lifting`: a replay of what bounced writes to that address again (decision 11), and lifts nothing else.

Only a bounce that was known when the delivery was parked: one that came later is another delivery's word, and says that
the address does not exist now. So a replay of a thousand mails to one dead address tries it once.
"""

from __future__ import annotations

from collections.abc import Sequence

from notifier.domain.contacts import contact_identity
from notifier.domain.delivery import Contact, Delivery, Mailbox, RecipientRef
from notifier.domain.outcome import Cause
from notifier.domain.parked import ParkedBatch
from notifier.domain.rule import Channel, WorkKind
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
            if delivery.id in parked:
                for address in self._addresses(delivery, message.batch.channel):
                    self._suppressions.lift_bounce(self._suppressions.key_of(address), parked[delivery.id])

    def _addresses(self, delivery: Delivery, kind: WorkKind) -> Sequence[str]:
        """Of a person known by id all that the channel may have tried: which one it was, only the rule knows."""
        to = delivery.to
        if isinstance(to, Mailbox):
            return (to.address,)
        if isinstance(to, Contact):
            return (to.identity,)
        person = self._recipients.get_many([to.recipient]).get(to.recipient) if isinstance(to, RecipientRef) else None
        if person is None:
            return ()
        if kind is Channel.HTTP_API:
            return [contact_identity(*contact) for contact in person.contacts]
        return (person.email,) if person.email else ()
