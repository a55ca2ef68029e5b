"""What foreign clients publish arrives as the events they meant, and what we sign is genuine to them."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from consumers.envelope import decode
from notifier.channels.webhook.channel import WebhookChannel
from notifier.channels.webhook.guard import AddressGuard, read_networks
from notifier.channels.webhook.transport import WebhookTransport
from notifier.domain.delivery import Delivery, EndpointRef
from notifier.domain.endpoint import Endpoint
from notifier.domain.event import Event
from notifier.domain.message import WebhookMessage
from notifier.storage.endpoints import new_secret
from tests.acceptance.foreign.runner import (
    EXCHANGE,
    ForeignClientFailed,
    JavaScriptMode,
    ShellMode,
    Verification,
    publish_with_amqp_publish,
    publish_with_javascript,
    verify_with_javascript,
)
from tests.servers.http import HttpSink
from tests.servers.patience import PATIENCE_S

QUEUE = "arrivals"
SHIPPED: dict[str, Any] = {
    "specversion": "1.0",
    "id": "shipped-1",
    "source": "/shop",
    "type": "order.shipped",
    "subject": "orders/1",
    "time": "2026-01-31T12:00:00Z",
    "datacontenttype": "application/json",
    "tenant": "acme",
    "data": {"customer": {"name": "Zoë Müller", "email": "zoe@example.org"}, "total": 12.5, "lines": [1, 2, 3]},
}
PLACED: dict[str, Any] = {
    "specversion": "1.0",
    "id": "placed-1",
    "source": "https://shop.example/orders?a=1",
    "type": "order.placed",
    "partitionkey": "acme",
    "priority": 3,
    "urgent": True,
    "data": {"total": 0},
}


@pytest.fixture
def channel(broker_url: str) -> Iterator[BlockingChannel]:
    """A channel on a broker with the events exchange and a queue that gets everything."""
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        opened = connection.channel()
        opened.exchange_declare(EXCHANGE, "topic", durable=True)
        opened.queue_declare(QUEUE, durable=True)
        opened.queue_bind(QUEUE, EXCHANGE, "#")
        yield opened


def arrivals(channel: BlockingChannel, count: int) -> list[tuple[pika.BasicProperties, bytes]]:
    """The next messages of the queue."""
    found: list[tuple[pika.BasicProperties, bytes]] = []
    for _, properties, body in channel.consume(QUEUE, auto_ack=True, inactivity_timeout=PATIENCE_S):
        assert properties is not None, f"{len(found)} of {count} messages came"
        assert body is not None
        found.append((properties, body))
        if len(found) == count:
            break
    channel.cancel()
    return found


def essence(event: Event) -> dict[str, Any]:
    """An event without what a client may add by itself: a time, a media type, `1` for `"1"`."""
    wire = {name: value for name, value in event.attributes().items() if name not in ("time", "datacontenttype")}
    return {name: value if name == "data" else str(value).lower() for name, value in wire.items()}


@pytest.mark.parametrize("mode", ["structured", "binary:colon", "binary:underscore"])
def test_events_published_by_the_javascript_sdk_arrive_as_they_were_meant(
    broker_url: str, channel: BlockingChannel, mode: JavaScriptMode
) -> None:
    # When the JavaScript SDK publishes two events
    confirmed = publish_with_javascript(broker_url, [SHIPPED, PLACED], mode)

    # Then both arrive in that mode
    messages = arrivals(channel, 2)
    assert confirmed == 2
    assert [properties.message_id for properties, _ in messages] == ["shipped-1", "placed-1"]
    is_structured = [(p.content_type or "").startswith("application/cloudevents+json") for p, _ in messages]
    assert is_structured == [mode == "structured"] * 2

    # And the consumer reads the same events from them
    decoded = [decode(properties, body) for properties, body in messages]
    assert [essence(event) for event in decoded] == [essence(Event.from_attributes(e)) for e in (SHIPPED, PLACED)]


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_an_event_published_from_a_shell_arrives_as_it_was_meant(
    broker_url: str, channel: BlockingChannel, mode: ShellMode
) -> None:
    publish_with_amqp_publish(broker_url, SHIPPED, mode)

    properties, body = arrivals(channel, 1)[0]
    assert essence(decode(properties, body)) == essence(Event.from_attributes(SHIPPED))


def test_a_foreign_publisher_notices_that_nobody_gets_its_event(broker_url: str, channel: BlockingChannel) -> None:
    channel.queue_unbind(QUEUE, EXCHANGE, "#")

    with pytest.raises(ForeignClientFailed, match=r"unroutable: order\.shipped"):
        publish_with_javascript(broker_url, [SHIPPED])


def test_webhooks_are_genuine_to_the_javascript_library_and_forgeries_are_not(http_sink: HttpSink) -> None:
    # Given webhooks sent during a rotation, one of them two hours ago
    old, new, other = new_secret(), new_secret(), new_secret()
    guard = AddressGuard(read_networks("127.0.0.1"), http=True)
    endpoint = Endpoint("ep_a", "acme", f"{http_sink.url}/hook", (new, old))
    message = WebhookMessage(json.dumps(SHIPPED, ensure_ascii=False).encode(), "application/cloudevents+json", "abc")

    async def send_all() -> None:
        transport = WebhookTransport(guard)
        channel = WebhookChannel(transport, guard)
        for number, ago in enumerate([0, 0, 7200]):
            to = Delivery(id=f"dlv_{number}", event=0, rule="r", to=EndpointRef(endpoint="ep_a"))
            outgoing = channel.prepare(to, Event.from_attributes(SHIPPED), endpoint, message)
            await channel.send(outgoing, time.time() - ago)
        await transport.close()

    asyncio.run(send_all())
    requests = http_sink.wait_for(3)

    # Then both secrets verify the fresh ones, and another secret none
    stale = Verification(2, 1, ("Message timestamp too old",))
    assert verify_with_javascript(requests, new) == stale
    assert verify_with_javascript(requests, old) == stale
    assert verify_with_javascript(requests[:2], other).reasons == ("No matching signature found",) * 2
