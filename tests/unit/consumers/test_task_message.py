"""What pika puts on the wire for a batch is what it would have put there by itself."""

import uuid

import pika

from consumers.task_message import task_message
from notifier.domain.encoding import encode_batch
from notifier.domain.topology import TASK_PRIORITY, TASKS_EXCHANGE
from tests.unit.worker.doubles import batch_of


def test_the_properties_are_those_that_pika_would_encode() -> None:
    # Given two batches of one size, the second of which finds its properties encoded already
    first, second = (task_message(encode_batch(batch_of(name))) for name in ("dlv_a", "dlv_b"))

    for message in (first, second):
        properties = message.properties
        plain = pika.BasicProperties(
            content_type=properties.content_type,
            content_encoding=properties.content_encoding,
            headers=properties.headers,
            delivery_mode=2,
            priority=TASK_PRIORITY,
            correlation_id=properties.correlation_id,
            reply_to="",
            message_id=properties.message_id,
        )
        assert b"".join(properties.encode()) == b"".join(plain.encode())


def test_each_task_has_an_id_of_its_own_everywhere() -> None:
    first, second = (task_message(encode_batch(batch_of("dlv_a"))) for _ in range(2))

    for message in (first, second):
        properties = message.properties
        assert properties.message_id == properties.correlation_id == properties.headers["id"]
        assert uuid.UUID(properties.message_id)
    assert first.properties.message_id != second.properties.message_id


def test_it_goes_to_the_queue_of_its_batch() -> None:
    message = task_message(encode_batch(batch_of("dlv_a")))

    assert (message.exchange, message.routing_key) == (TASKS_EXCHANGE, "email-normal")
