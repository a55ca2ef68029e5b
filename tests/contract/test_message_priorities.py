"""Every message of ours says its priority: quorum queues of RabbitMQ 4.3 serve strictly by it, 4 where none is said."""

import json
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from celery import Celery

from consumers.aside import aside_message
from consumers.batching import Batcher
from consumers.parking import parked_message
from consumers.publisher import Outgoing
from consumers.task_message import task_message
from consumers.topology import apply_topology
from notifier.broker.publisher import TaskPublisher
from notifier.celery import from_settings
from notifier.client import Event, Publisher
from notifier.client import event as client_event
from notifier.domain.batch import Batch
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent
from notifier.domain.topology import EVENT_PRIORITY, EVENTS_EXCHANGE, TASK_PRIORITY
from notifier.failures.publishing import opened
from notifier.settings import Settings
from tests.servers.patience import PATIENCE_S, poll
from tests.unit.consumers.factories import event, planned, received, structured


@pytest.fixture
def app(broker_url: str) -> Iterator[Celery]:
    apply_topology(broker_url)
    app = Celery("priorities", set_as_current=False)
    app.conf.update(from_settings(Settings(broker_url=broker_url)))
    yield app
    app.pool.force_close_all()


@pytest.fixture
def channel(app: Celery) -> Iterator[Any]:
    with pika.BlockingConnection(pika.URLParameters(app.conf.broker_url)) as connection:
        opened = connection.channel()
        opened.confirm_delivery()
        yield opened


def batch() -> Any:
    batcher = Batcher()
    placed = event()
    batcher.add(placed, [planned(placed)])
    (encoded,) = batcher.batches()
    return encoded


def entry(queue: str) -> Parked:
    return Parked(id="one", queue=queue, cause=Cause.POISON, reason="no", parked_at=1.0)


def parked_event() -> ParkedEvent:
    return ParkedEvent((entry("failed-intake"),), b"{}", "application/json", {})


def put(channel: Any, message: Outgoing) -> None:
    channel.basic_publish(message.exchange, message.routing_key, message.body, message.properties, mandatory=True)


def priorities(channel: Any, queue: str, count: int) -> list[int | None]:
    """Of the messages in a queue, which is empty afterwards."""
    found: list[int | None] = []

    def all_are_here() -> bool:
        method, properties, _ = channel.basic_get(queue, auto_ack=True)
        if method is not None:
            found.append(properties.priority)
        return len(found) == count

    poll(all_are_here, f"{count} messages in {queue}")
    return found


def test_tasks_of_intake_retries_of_workers_and_celerys_own_are_equal(app: Celery, channel: Any) -> None:
    # Given a batch as intake queues it, as a worker does, at once and after a second, and a task as Celery does
    encoded = batch()
    put(channel, task_message(encoded))
    publisher = TaskPublisher(app)
    publisher.send(encoded)
    publisher.send(Batch.decode(json.loads(encoded.body)), after=1)
    app.send_task("notifier.sweep", queue=encoded.queue, retry=False, ignore_result=True)

    # Then all four say the same
    assert priorities(channel, encoded.queue, 4) == [TASK_PRIORITY] * 4


def test_what_is_parked_is_equal_whoever_parks_it(app: Celery, channel: Any) -> None:
    # Given what a consumer parks, a worker, and somebody who walks a failure queue
    put(channel, parked_message(parked_event()))
    deliveries = ParkedBatch(Batch.decode(json.loads(batch().body)), (entry("failed-intake"),))
    TaskPublisher(app).park("failed-intake", deliveries)
    with opened(app) as publishing:
        publishing.park("failed-intake", parked_event())

    assert priorities(channel, "failed-intake", 3) == [TASK_PRIORITY] * 3


def test_events_are_equal_to_those_of_publishers_that_say_nothing(app: Celery, channel: Any) -> None:
    # Given an event of the client, one of a worker's, and one that is replayed
    with Publisher(app.conf.broker_url, source="/s", timeout=PATIENCE_S) as publisher:
        publisher.publish("a")
    TaskPublisher(app).publish_event({"specversion": "1.0", "id": "1", "source": "/s", "type": "a"})
    with opened(app) as publishing:
        publishing.publish(
            EVENTS_EXCHANGE, "a", b"{}", content_type="application/json", headers={}, priority=EVENT_PRIORITY
        )

    # Then they say 4, which is what a message without a priority counts as
    assert priorities(channel, "notifier.intake", 3) == [4, 4, 4]
    assert client_event.PRIORITY == EVENT_PRIORITY == 4


@pytest.mark.parametrize("theirs", [None, 0, 9])
def test_an_event_that_is_put_aside_waits_for_no_other(theirs: int | None) -> None:
    properties, body = structured({"specversion": "1.0"})
    properties.priority = theirs
    assert aside_message(received(properties, body), "email-low").properties.priority == EVENT_PRIORITY


def test_events_come_in_the_order_in_which_they_were_published_by_whomever(app: Celery, channel: Any) -> None:
    # Given events of the client and of a publisher that knows nothing of priorities, one after the other
    with Publisher(app.conf.broker_url, source="/s", timeout=PATIENCE_S) as publisher:
        for number in range(6):
            if number % 2:
                publisher.submit(Event(type="a", id=str(number))).result()
            else:
                wire = {"specversion": "1.0", "id": str(number), "source": "/t", "type": "a"}
                channel.basic_publish(EVENTS_EXCHANGE, "a", json.dumps(wire).encode(), mandatory=True)

    # Then, on every version of RabbitMQ, that is the order in which they are taken in
    bodies = [channel.basic_get("notifier.intake", auto_ack=True)[2] for _ in range(6)]
    assert [json.loads(body)["id"] for body in bodies] == list("012345")
