"""Our hand-built task messages are Celery's: equal to `as_task_v2`, and run by a stock worker's own decoder."""

import json
from typing import Any

import pytest
from celery import Celery
from celery.worker.request import Request
from kombu import Connection

from consumers.batching import Batcher
from consumers.task_message import task_message
from consumers.topology import apply_topology
from notifier.domain.batch import Batch
from notifier.domain.task_message import COMPRESS_ABOVE
from tests.servers.patience import PATIENCE_S
from tests.unit.consumers.factories import event, planned

#: Ids differ from message to message and the origin from process to process; argsrepr is ours on purpose.
VARYING = {"id", "root_id", "origin", "argsrepr"}


def batch_of(size: int) -> Batcher:
    batcher = Batcher(max_bytes=10_000_000)
    placed = event(data={"text": "x" * size})
    batcher.add(placed, [planned(placed), planned(placed, "bob@example.org")])
    return batcher


def celerys(app: Celery, wire: dict[str, Any]) -> Any:
    """What kombu would send for the same task."""
    with Connection("memory://") as connection, connection.Producer(serializer="json") as producer:
        sent: dict[str, Any] = {}
        producer.publish = lambda body, **options: sent.update(body=body, **options)
        message = app.amqp.as_task_v2("an-id", "notifier.email", args=(wire,), ignore_result=True)
        app.amqp.send_task_message(producer, "notifier.email", message, queue="email-normal")
        body, content_type, encoding = producer._prepare(sent["body"], "json", headers={})
        return sent, body, content_type, encoding


@pytest.fixture
def app() -> Celery:
    from notifier.celery import from_settings
    from notifier.settings import Settings

    app = Celery("contract", set_as_current=False)
    app.conf.update(from_settings(Settings()))

    # The worker's own tasks: they are shared with every app of the process, this one included.
    import notifier.worker.tasks  # noqa: F401

    app.finalize()
    return app


def test_our_message_equals_celerys_but_for_ids(app: Celery) -> None:
    # Given one batch as ours and as Celery's message
    (batch,) = batch_of(10).batches()
    ours = task_message(batch)
    sent, body, content_type, encoding = celerys(app, json.loads(batch.body))

    # Then body, headers and properties are the same
    assert json.loads(ours.body) == json.loads(body)
    assert {k: v for k, v in ours.properties.headers.items() if k not in VARYING} == {
        k: v for k, v in sent["headers"].items() if k not in VARYING
    }
    assert ours.properties.headers.keys() == sent["headers"].keys()
    assert (ours.properties.content_type, ours.properties.content_encoding) == (content_type, encoding)
    assert ours.properties.correlation_id == ours.properties.headers["id"]
    assert ours.properties.reply_to == sent["reply_to"]
    assert ours.properties.delivery_mode == sent["delivery_mode"]
    assert (ours.exchange, ours.routing_key) == (sent["exchange"], sent["routing_key"])


def test_what_celery_logs_of_a_task_names_nobody() -> None:
    (batch,) = batch_of(10).batches()
    assert task_message(batch).properties.headers["argsrepr"] == "<email batch of 2>"


@pytest.mark.parametrize("size", [10, 2 * COMPRESS_ABOVE])
def test_a_stock_worker_reads_the_batch(app: Celery, broker_url: str, size: int) -> None:
    # Given a batch on a real broker, compressed when it is large
    import pika

    apply_topology(broker_url)
    (batch,) = batch_of(size).batches()
    ours = task_message(batch)
    assert ("compression" in ours.properties.headers) == (size > COMPRESS_ABOVE)
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        connection.channel().basic_publish(ours.exchange, ours.routing_key, ours.body, ours.properties)

    # When kombu receives it and Celery makes a request of it
    with Connection(broker_url) as connection:
        message = connection.SimpleQueue(
            "email-normal",
            queue_args=None,
            no_ack=True,
            queue_opts={"no_declare": True},
            exchange_opts={"no_declare": True},
        ).get(timeout=PATIENCE_S)
        request = Request(message, app=app, decoded=False)

    # Then it is the task with the batch as its only argument
    args, kwargs, _ = message.payload
    assert (request.name, request.id) == ("notifier.email", ours.properties.correlation_id)
    assert kwargs == {}
    assert Batch.decode(args[0]) == Batch.decode(json.loads(batch.body))
