"""A replayed event reaches intake as it was published, in every CloudEvents mode."""

from typing import Any

import pika
import pytest
from celery import Celery

from consumers.envelope import decode
from consumers.topology import apply_topology
from notifier.domain.topology import EVENTS_EXCHANGE, INTAKE_QUEUE
from notifier.failures.publishing import opened

STRUCTURED = b'{"specversion":"1.0","id":"1","source":"/shop","type":"order.placed","data":{"order":17}}'
BINARY = {
    "cloudEvents:specversion": "1.0",
    "cloudEvents:id": "1",
    "cloudEvents:source": "/shop",
    "cloudEvents:type": "order.placed",
}


@pytest.mark.parametrize(
    ("content_type", "headers", "body"),
    [
        ("application/cloudevents+json", {}, STRUCTURED),
        ("application/json", BINARY, b'{"order":17}'),
        ("text/plain", BINARY, b"order 17"),
        ("application/octet-stream", BINARY, b"\x00\xff"),
    ],
)
def test_a_replayed_event_is_read_as_it_was_published(
    broker_url: str, content_type: str, headers: dict[str, Any], body: bytes
) -> None:
    # Given an event as a publisher sent it
    apply_topology(broker_url)
    original = decode(pika.BasicProperties(content_type=content_type, headers=headers), body)

    # When a replay sends it back to intake
    with opened(Celery(broker=broker_url, set_as_current=False)) as publishing:
        publishing.publish(EVENTS_EXCHANGE, "order.placed", body, content_type=content_type, headers=headers)

    # Then intake reads the same event: once it came back as malformed, with the encoding "binary"
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as reading:
        _, properties, received = reading.channel().basic_get(INTAKE_QUEUE, auto_ack=True)
    assert decode(properties, received) == original
