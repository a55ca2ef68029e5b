"""Events, deliveries and messages with sensible defaults."""

from typing import Any

import orjson
import pika

from consumers.group import Received
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id
from notifier.domain.rule import Channel, Priority, Rule
from notifier.rules.planner import Planned


def event(number: int = 1, **attributes: Any) -> Event:
    wire = {"specversion": "1.0", "id": str(number), "source": "/shop", "type": "order.placed", **attributes}
    return Event.from_attributes(wire)


def rule(name: str = "order.placed/customer", **changes: Any) -> Rule:
    settings: dict[str, Any] = {
        "id": name,
        "event": "order.placed",
        "channel": Channel.EMAIL,
        "template": "order.placed",
        "category": "orders",
        "transactional": False,
        "priority": Priority.NORMAL,
        **changes,
    }
    return Rule(**settings)


def planned(of: Event, address: str = "ann@example.org", by: Rule | None = None) -> Planned:
    by = by or rule()
    to = Mailbox(address=address)
    return Planned(by, Delivery(id=delivery_id(of.source, of.id, by.id, to.identity), event=0, rule=by.id, to=to))


def structured(wire: Any) -> tuple[pika.BasicProperties, bytes]:
    body = wire if isinstance(wire, bytes) else orjson.dumps(wire)
    return pika.BasicProperties(content_type="application/cloudevents+json"), body


def received(properties: pika.BasicProperties, body: bytes, tag: int = 1) -> Received:
    return Received(tag, properties, body, 0.0)
