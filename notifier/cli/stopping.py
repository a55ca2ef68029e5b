"""Why the deliveries that ``notifier explain`` shows would be suppressed, as far as somebody can be asked."""

from __future__ import annotations

from notifier.domain.delivery import Delivery, EndpointRef, Mailbox, RecipientRef
from notifier.domain.ids import person_key, suppression_keys
from notifier.domain.rule import Rule
from notifier.errors import ConfigurationError, Unavailable
from notifier.storage.recipients import Recipients
from notifier.storage.suppressions import Suppressions


class Stopping:
    """Looks up one recipient after the other; the first failure is the last question."""

    def __init__(self, suppressions: Suppressions, recipients: Recipients) -> None:
        self._suppressions = suppressions
        self._recipients = recipients
        self.unknown = ""
        """Why nobody could be asked."""

    def __call__(self, delivery: Delivery, rule: Rule) -> str | None:
        """As the worker's gate decides; None when it is not known."""
        if isinstance(delivery.to, EndpointRef):
            return ""
        if self.unknown:
            return None
        try:
            known = self._suppressions.get_many(self._keys(delivery.to))
        except (Unavailable, ConfigurationError) as error:
            self.unknown = str(error)
            return None
        reasons = (one.reason(rule.category, transactional=rule.transactional) for one in known.values())
        return "; ".join(dict.fromkeys(filter(None, reasons)))

    def _keys(self, to: Mailbox | RecipientRef) -> list[str]:
        if isinstance(to, Mailbox):
            return [*suppression_keys(to.address)]
        person = self._recipients.get_many([to.recipient]).get(to.recipient)
        return [*(suppression_keys(person.email) if person else ()), person_key(to.recipient)]
