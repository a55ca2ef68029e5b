"""What should have arrived, and whether it did: the ledger's word held against the inbox and the receiver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from notifier.demo.catcher import Call
from notifier.demo.gateway import Message
from notifier.demo.inbox import Mail

#: Statuses in which nothing more will happen by itself.
_ENDED = frozenset({"sent", "refused", "exhausted", "expired", "suppressed", "skipped"})


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of delivery."""

    event_type: str
    rule: str
    channel: str
    expected: int
    sent: int
    """By the ledger."""
    arrived: int
    """By the inbox or the receiver, exactly once each and with a right signature."""

    @property
    def is_right(self) -> bool:
        """Everything expected was sent, and what was sent has arrived."""
        return self.expected > 0 and self.expected == self.sent == self.arrived


def summarise(
    events: Sequence[dict[str, Any]], mails: Sequence[Mail], calls: Sequence[Call], messages: Sequence[Message]
) -> list[Row]:
    """A row per rule."""
    arrived = _once([mail.delivery for mail in mails]) | _once([call.delivery for call in calls if call.verified])
    arrived |= _once([message.delivery for message in messages])
    digests = sum(1 for mail in mails if mail.delivery not in _ids(events))
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for event in events:
        for delivery in event["deliveries"]:
            groups.setdefault((event["type"], delivery["rule"], delivery["channel"]), []).append(delivery)
    return [_row(key, deliveries, arrived, digests) for key, deliveries in sorted(groups.items())]


def is_over(events: Sequence[dict[str, Any]]) -> bool:
    """Whether every delivery of every event has ended."""
    return all(event["deliveries"] and all(d["status"] in _ENDED for d in event["deliveries"]) for event in events)


def _row(key: tuple[str, str, str], deliveries: list[dict[str, Any]], arrived: set[str], digests: int) -> Row:
    event_type, rule, channel = key
    sent = [delivery["id"] for delivery in deliveries if delivery["status"] == "sent"]
    if channel == "digest":
        # Items have no mail of their own: they arrived when their digest did.
        return Row(event_type, rule, channel, len(deliveries), len(sent), len(sent) if digests else 0)
    return Row(event_type, rule, channel, len(deliveries), len(sent), sum(1 for i in sent if i in arrived))


def _ids(events: Sequence[dict[str, Any]]) -> set[str]:
    return {delivery["id"] for event in events for delivery in event["deliveries"]}


def _once(ids: list[str]) -> set[str]:
    return {identity for identity in ids if ids.count(identity) == 1}
