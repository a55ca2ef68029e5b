"""What the bench sends through: events of about 600 bytes of data, one delivery each, and how they get into a queue.

The rules and templates are the bench's own (`templates/` beside this file), so that its figures do not move when the
shop's do: one email of subject, text and HTML with five order lines, about 2 kB, or one webhook of about 600 bytes.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from notifier.domain.ids import delivery_id

TEMPLATES = Path(__file__).parent / "templates"
SOURCE = "/bench"

_LINES = (
    ("Aran wool jumper, oatmeal", 1, 129.0),
    ("Merino hiking socks, moss", 3, 16.5),
    ("Enamel mug", 2, 14.0),
    ("Beeswax candle, small", 4, 6.25),
    ("Linen tea towel", 2, 11.9),
)


@dataclass(frozen=True)
class Kind:
    """One kind of delivery: the event type that causes it and the rule it comes from."""

    event_type: str
    rule: str
    channel: str
    priority: str = "normal"

    @property
    def lane(self) -> str:
        """What the names of its work queues begin with."""
        return f"{self.channel}-{self.priority}"


EMAIL = Kind("bench.mail", "bench.mail/mail", "email")
CHECKED_EMAIL = Kind("bench.checked", "bench.checked/checked", "email")
WEBHOOK = Kind("bench.hook", "bench.hook/hook", "webhook")
HIGH, LOW = (Kind("bench.lane", f"bench.lane/{lane}", "email", lane) for lane in ("high", "low"))
NEWS = Kind("bench.news", "bench.news/news", "email", "low")


def receiver(number: int) -> Kind:
    """A webhook to one receiver of many."""
    return Kind(f"bench.receiver.{number}", "bench.receiver/receiver", "webhook")


def address(number: int, run: str) -> str:
    """The recipient of one event; nobody gets two mails, so no cache of addresses helps."""
    return f"{run}.customer.{number}@shop.example.com"


def data(number: int, run: str) -> dict[str, Any]:
    """About 600 bytes of JSON."""
    return {
        "number": f"FH-{number:06}",
        "customer": {"email": address(number, run), "name": f"Customer {number}"},
        "currency": "EUR",
        "carrier": "Northern Parcel",
        "lines": [{"name": name, "quantity": quantity, "price": price} for name, quantity, price in _LINES],
        "total": 254.3,
        "url": f"https://shop.example.com/orders/FH-{number:06}?view=parcel",
    }


def event(kind: Kind, number: int, run: str, tenant: str = "") -> bytes:
    """A structured CloudEvent as a publisher writes it."""
    content = {**data(number, run), "lane": kind.priority} if kind in (HIGH, LOW) else data(number, run)
    return _event(kind, f"{run}-{number}", content, tenant)


def news(run: str, people: int) -> bytes:
    """One event for so many people."""
    content = {
        "title": "The spring catalogue is here",
        "text": "Twelve new pieces in linen and wool, made in small numbers by people we know by name.",
        "url": "https://shop.example.com/catalogue/spring",
        "people": [address(number, run) for number in range(people)],
    }
    return _event(NEWS, run, content)


def _event(kind: Kind, identity: str, content: dict[str, Any], tenant: str = "") -> bytes:
    attributes = {
        "specversion": "1.0",
        "id": identity,
        "source": SOURCE,
        "type": kind.event_type,
        "time": "2026-11-20T15:04:12Z",
        "datacontenttype": "application/json",
        **({"tenant": tenant} if tenant else {}),
    }
    return json.dumps({**attributes, "data": content}).encode()


def news_deliveries(run: str, people: int) -> list[str]:
    """The ids the ledger must know as sent after `news`."""
    return [delivery_id(SOURCE, run, NEWS.rule, f"mailto:{address(number, run)}") for number in range(people)]


def deliveries(kind: Kind, count: int, run: str, endpoint: str) -> list[str]:
    """The ids the ledger must know as sent."""
    return [
        delivery_id(
            SOURCE,
            f"{run}-{number}",
            kind.rule,
            f"endpoint:{endpoint}" if kind.channel == "webhook" else f"mailto:{address(number, run)}",
        )
        for number in range(count)
    ]


class Publisher:
    """Puts messages into the broker as fast as one connection can, and asks how many wait.

    Without heartbeats: nobody answers them while a bench waits for something else.
    """

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(f"{url}?heartbeat=0"))
        self._channel: BlockingChannel = self._connection.channel()

    def publish(
        self, exchange: str, routing_key: str, bodies: Iterable[bytes], properties: pika.BasicProperties
    ) -> None:
        """Durable messages without confirms; the caller looks whether all have come."""
        for body in bodies:
            self._channel.basic_publish(exchange, routing_key, body, properties)

    def send(self, queue: str, messages: Iterable[tuple[bytes, pika.BasicProperties]]) -> None:
        """Messages with properties of their own, straight into a queue."""
        for body, properties in messages:
            self._channel.basic_publish("", queue, body, properties)

    def ready(self, queue: str) -> int:
        """Messages that no consumer has been given yet; 0.1 ms, exact on quorum queues."""
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def consumers(self, queue: str) -> int:
        """Consumers subscribed to a queue."""
        return int(self._channel.queue_declare(queue, passive=True).method.consumer_count)

    def purge(self, queue: str) -> None:
        """Throw away what no consumer has been given."""
        self._channel.queue_purge(queue)

    def declare(self, queue: str) -> None:
        """A durable quorum queue."""
        self._channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})

    def close(self) -> None:
        """Say goodbye."""
        self._connection.close()
