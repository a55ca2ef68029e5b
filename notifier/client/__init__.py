"""What other services import to publish events. Needs pika and the standard library, nothing else.

    from notifier.client import Publisher

    publisher = Publisher("amqp://user:password@host/vhost", source="/shop/orders")
    publisher.publish("order.placed", {"order": 17, "customer": "ann@example.org"})

`publish` returns when RabbitMQ has the event on disk and raises a `PublishError` when it has not. Events with your own
stable ``id`` may be published again without harm. `publish_many` and `submit` do many at a time.

Reading order: `publisher` → `event` → `link` (the connection's thread) → `confirm_channel` → `outbox`; `errors` has
what can go wrong.
"""

from notifier.client.errors import (
    AccessRefused,
    BrokerBlocked,
    BrokerUnreachable,
    InvalidEvent,
    NotConfirmed,
    PublisherClosed,
    PublishError,
    Rejected,
    SomeNotPublished,
    Unroutable,
)
from notifier.client.event import Event
from notifier.client.publisher import Publisher, Receipt

__all__ = [
    "AccessRefused",
    "BrokerBlocked",
    "BrokerUnreachable",
    "Event",
    "InvalidEvent",
    "NotConfirmed",
    "PublishError",
    "Publisher",
    "PublisherClosed",
    "Receipt",
    "Rejected",
    "SomeNotPublished",
    "Unroutable",
]
