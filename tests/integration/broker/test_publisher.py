"""`TaskPublisher` on a real RabbitMQ: confirmed, delayed in the broker, refused by a full queue."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from celery import Celery

from consumers import topology
from consumers.task_message import task_message
from notifier import metrics
from notifier.broker.alarm import ALARM
from notifier.broker.publisher import TaskPublisher
from notifier.celery import from_settings
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.encoding import EncodedBatch
from notifier.domain.event import Event
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch
from notifier.domain.rule import Channel, Priority
from notifier.errors import BrokerUnavailable, PublishRejected
from notifier.failures.redrive import Redrive
from notifier.settings import Settings
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.rabbitmq import RabbitMQ

BATCH = Batch(
    channel=Channel.EMAIL,
    priority=Priority.NORMAL,
    events=[Event(id="1", source="/tests", type="a.b")],
    deliveries=[Delivery(id=f"dlv_{n}", event=0, rule="a.b/mail", to=Mailbox(address=f"{n}@x.org")) for n in range(2)],
)
PARKED = ParkedBatch(BATCH, tuple(Parked(d.id, "failed-email", Cause.REFUSED, "no", 1.0) for d in BATCH.deliveries))


@pytest.fixture
def app(broker_url: str, redis_url: str) -> Iterator[Celery]:
    asyncio.run(topology.apply(broker_url))
    made = Celery("publisher-test", set_as_current=False)
    made.conf.update(from_settings(Settings(broker_url=broker_url, redis_url=redis_url)))
    yield made
    made.close()


def test_a_batch_is_in_its_queue_when_send_returns(app: Celery, rabbitmq: RabbitMQ, broker_url: str) -> None:
    TaskPublisher(app).send(BATCH)

    assert rabbitmq.queue_depths(broker_url)["email-normal"] == 1


@pytest.mark.parametrize(("after", "level"), [(16, 4), (100, 6), (86_400, 16), (2**28 - 1, 27)])
def test_a_delayed_batch_waits_first_where_celerys_own_does(
    app: Celery, rabbitmq: RabbitMQ, broker_url: str, after: int, level: int
) -> None:
    # Given a task that Celery itself has delayed
    queue = f"celery_delayed_{level}"
    app.send_task("notifier.email", args=[{}], queue="email-normal", countdown=after, ignore_result=True)
    assert rabbitmq.queue_depths(broker_url)[queue] == 1

    # When we delay a batch for as long
    TaskPublisher(app).send(BATCH, after=after)

    # Then it waits in the same queue, with the same levels before it
    assert rabbitmq.queue_depths(broker_url)[queue] == 2


def test_a_worker_knows_of_an_alarm_that_keeps_its_publishes_until_it_is_over(
    app: Celery, rabbitmq: RabbitMQ, broker_url: str
) -> None:
    # Given a broker that lets nobody publish
    rabbitmq.set_disk_alarm()
    with ThreadPoolExecutor() as beside:
        try:
            # When a batch is published
            sending = beside.submit(TaskPublisher(app).send, BATCH)

            # Then what `/readyz` and the metric say is known while it waits
            poll(lambda: ALARM.reason is not None, "the alarm is heard of")
            assert "blocks publishers" in str(ALARM.reason)
            assert metrics.REGISTRY.get_sample_value("notifier_broker_blocked") == 1
        finally:
            rabbitmq.clear_disk_alarm()

        # And when the disk has room again, the batch is taken and nothing is said any more
        sending.result(PATIENCE_S)
    assert rabbitmq.queue_depths(broker_url)["email-normal"] == 1
    assert ALARM.reason is None
    assert metrics.REGISTRY.get_sample_value("notifier_broker_blocked") == 0


def test_a_full_queue_refuses_a_batch_aloud(app: Celery, rabbitmq: RabbitMQ, broker_url: str) -> None:
    # Given a queue that takes about one message
    rabbitmq.limit_queue(broker_url, "email-normal", 1)
    publisher = TaskPublisher(app)

    # When more are sent, then one is refused with a word for it (the limit is overshot by one or two)
    publisher.send(BATCH)
    publisher.send(BATCH)
    with pytest.raises(PublishRejected):
        send_until_refused(publisher)


def send_until_refused(publisher: TaskPublisher) -> None:
    for _ in range(5):
        publisher.send(BATCH)


def test_a_broker_that_is_away_is_a_named_error(app: Celery, rabbitmq: RabbitMQ, broker_url: str) -> None:
    publisher = TaskPublisher(app)
    publisher.send(BATCH)
    rabbitmq.stop()
    try:
        with pytest.raises(BrokerUnavailable):
            publisher.send(BATCH)
    finally:
        rabbitmq.start()


def test_parked_deliveries_are_read_back_as_they_were(app: Celery) -> None:
    # Given parked deliveries
    TaskPublisher(app).park("failed-email", PARKED)
    seen: list[ParkedBatch] = []

    class Take:
        """Takes the second delivery out and leaves the first."""

        def visit(self, parked: Parked) -> bool:
            return parked.id == "dlv_1"

        def take(self, _: object, messages: Sequence[object]) -> None:
            seen.extend(message for message in messages if isinstance(message, ParkedBatch))

    # When one of them is taken out
    walked = Redrive(app).walk("failed-email", Take())

    # Then it comes with its event, and the other one is still there
    assert (walked.messages, walked.taken) == (1, 1)
    assert [d.id for d in seen[0].batch.deliveries] == ["dlv_1"]
    assert seen[0].batch.events == BATCH.events
    assert [entry.id for entry in Redrive(app).walk("failed-email", Take()).entries] == ["dlv_0"]


def test_a_walk_that_dies_before_it_acknowledges_repeats_and_loses_nothing(app: Celery) -> None:
    # Given parked deliveries and an operator's command that dies after acting on them
    TaskPublisher(app).park("failed-email", PARKED)

    class Die(Exception):
        pass

    class Dies:
        def visit(self, _: Parked) -> bool:
            return True

        def take(self, _: object, messages: Sequence[object]) -> None:
            raise Die

    with pytest.raises(Die):
        Redrive(app).walk("failed-email", Dies())

    # Then the message is in the queue again
    assert Redrive(app).depths()["failed-email"] == 1


def test_what_the_broker_dead_lettered_is_read_as_its_deliveries_also_when_it_was_compressed(app: Celery) -> None:
    # Given a batch that an earlier release let the broker move into the failure queue, as large ones travel
    large = BATCH.model_copy(update={"events": [BATCH.events[0].model_copy(update={"data": "x" * 100_000})]})
    message = task_message(EncodedBatch(Channel.EMAIL, Priority.NORMAL, 2, orjson.dumps(large.encode())))
    assert message.properties.headers["compression"]
    with app.producer_pool.acquire(block=True) as producer:
        producer.channel.basic_publish(
            producer.channel.prepare_message(
                message.body, 0, "application/json", "utf-8", message.properties.headers, {"delivery_mode": 2}
            ),
            exchange="notifier.parked",
            routing_key="failed-email",
        )

    class Look:
        def visit(self, _: Parked) -> bool:
            return False

        def take(self, _: object, messages: Sequence[object]) -> None:
            raise AssertionError

    # When it is looked at, twice
    first, second = (Redrive(app).walk("failed-email", Look()) for _ in range(2))

    # Then its deliveries are there
    assert [entry.id for entry in first.entries] == [entry.id for entry in second.entries] == ["dlv_0", "dlv_1"]
    assert {entry.cause for entry in first.entries} == {Cause.POISON}
