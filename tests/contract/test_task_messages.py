"""Our hand-built task messages are Celery's: equal to `as_task_v2`, and run by a stock worker's own decoder."""

import json
from typing import Any

import pika
import pytest
from celery import Celery
from celery.worker.request import Request
from kombu import Connection, Producer

from consumers.batching import Batcher
from consumers.task_message import task_message
from consumers.topology import apply_topology
from notifier.broker.publisher import TaskPublisher
from notifier.domain.batch import Batch
from notifier.domain.task_message import BATCH_HEADER, COMPRESS_ABOVE
from tests.servers.patience import PATIENCE_S
from tests.unit.consumers.factories import event, planned

#: Ids differ from message to message and the origin from process to process; argsrepr is ours on purpose.
VARYING = {"id", "root_id", "origin", "argsrepr", BATCH_HEADER}


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
    import notifier.worker.celery_side.tasks  # noqa: F401

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
    assert ours.properties.headers.keys() - sent["headers"].keys() == {BATCH_HEADER}
    assert ours.properties.headers.keys() >= sent["headers"].keys()
    assert (ours.properties.content_type, ours.properties.content_encoding) == (content_type, encoding)
    assert ours.properties.correlation_id == ours.properties.headers["id"]
    assert ours.properties.reply_to == sent["reply_to"]
    assert ours.properties.delivery_mode == sent["delivery_mode"]
    assert (ours.exchange, ours.routing_key) == (sent["exchange"], sent["routing_key"])


@pytest.mark.parametrize("size", [10, 2 * COMPRESS_ABOVE])
def test_the_properties_are_encoded_as_pika_encodes_them(size: int) -> None:
    # Given two tasks of one size: the second one's properties are the first one's with another id
    first, second = (task_message(next(batch_of(size).batches())).properties for _ in range(2))

    # When they are encoded, then each is what pika makes of it
    for properties in (first, second):
        assert b"".join(properties.encode()) == b"".join(pika.BasicProperties.encode(properties))
    assert first.encode() != second.encode()


def test_what_celery_logs_of_a_task_names_nobody() -> None:
    (batch,) = batch_of(10).batches()
    assert task_message(batch).properties.headers["argsrepr"] == "<email batch of 2>"


@pytest.mark.parametrize("size", [10, 2 * COMPRESS_ABOVE])
def test_a_stock_worker_reads_the_batch(app: Celery, broker_url: str, size: int) -> None:
    # Given a batch on a real broker, compressed when it is large
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


@pytest.mark.parametrize("after", [0, 5])
def test_what_a_worker_publishes_equals_celerys_but_for_ids_and_eta(
    app: Celery, broker_url: str, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    # Given what kombu is asked to publish, by us and by Celery, for one batch and delay
    apply_topology(broker_url)
    app.conf.broker_url = broker_url
    (encoded,) = batch_of(10).batches()
    batch = Batch.decode(json.loads(encoded.body))
    asked: list[dict[str, Any]] = []
    publish = Producer.publish

    def listen(self: Producer, body: Any, **options: Any) -> Any:
        prepared, kind, encoding = self._prepare(
            body, options.get("serializer"), options.get("content_type"), options.get("content_encoding"), headers={}
        )
        exchange = options["exchange"]
        asked.append(
            {
                **options,
                "body": json.loads(prepared),
                "kind": (kind, encoding),
                "exchange": getattr(exchange, "name", exchange),
            }
        )
        return publish(self, body, **options)

    monkeypatch.setattr(Producer, "publish", listen)
    TaskPublisher(app).send(batch, after=after)
    app.send_task(
        batch.task, args=[batch.encode()], queue=batch.queue, countdown=after or None, retry=False, ignore_result=True
    )
    ours, theirs = asked

    # Then both go the same way, as the same task
    for name in ("body", "kind", "routing_key", "delivery_mode"):
        assert ours[name] == theirs[name], name
    # A delay of five seconds is four and one: the levels above the first, where Celery begins, would only pass it on.
    begins = ("celery_delayed_2", "celery_delayed_27") if after else ("notifier.tasks", "notifier.tasks")
    assert (ours["exchange"], theirs["exchange"]) == begins
    assert ours["headers"].keys() - theirs["headers"].keys() == {BATCH_HEADER}
    assert ours["headers"].keys() >= theirs["headers"].keys()
    # The eta is Celery's second clock for a worker whose broker cannot delay.
    differing = {name for name, value in theirs["headers"].items() if value != ours["headers"][name]}
    assert differing <= VARYING | ({"eta"} if after else set())
    assert ours["correlation_id"] == ours["headers"]["id"]
    assert ours["reply_to"] == "", "where a result would go; there is none"
