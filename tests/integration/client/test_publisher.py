"""The client against a real RabbitMQ: what is confirmed is there, and whatever is not there was raised."""

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

import orjson
import pika
import pytest

from notifier.client import (
    AccessRefused,
    BrokerBlocked,
    BrokerUnreachable,
    Event,
    InvalidEvent,
    Publisher,
    PublisherClosed,
    Receipt,
    Rejected,
    SomeNotPublished,
    Unroutable,
)
from tests.servers.patience import PATIENCE_S
from tests.servers.rabbitmq import RabbitMQ


@pytest.fixture
def publisher(service_url: str) -> Iterator[Publisher]:
    with Publisher(service_url, source="/shop/orders") as publisher:
        yield publisher


def intake_ids(url: str) -> list[str]:
    """The ids of every event in the intake queue, which is empty afterwards."""
    return [orjson.loads(body)["id"] for body in taken(url, "notifier.intake")]


def taken(url: str, queue: str) -> Iterator[bytes]:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        while True:
            method, _, body = channel.basic_get(queue, auto_ack=True)
            if method is None:
                return
            yield body


def test_a_published_event_is_in_the_intake_queue(publisher: Publisher, service_url: str) -> None:
    # When one event is published
    receipt = publisher.publish("order.placed", {"order": 17}, subject="17")

    # Then it is there as a structured CloudEvent
    (body,) = taken(service_url, "notifier.intake")
    assert orjson.loads(body) == {
        "specversion": "1.0",
        "id": receipt.id,
        "source": "/shop/orders",
        "type": "order.placed",
        "subject": "17",
        "data": {"order": 17},
    }


def test_many_events_arrive_in_their_order(publisher: Publisher, service_url: str) -> None:
    receipts = publisher.publish_many(Event(type="order.placed", id=str(n)) for n in range(2500))
    assert [receipt.id for receipt in receipts] == [str(n) for n in range(2500)]
    assert intake_ids(service_url) == [str(n) for n in range(2500)]


def test_many_threads_share_one_connection(publisher: Publisher, service_url: str, rabbitmq: RabbitMQ) -> None:
    # Given twenty threads
    before = rabbitmq.connection_count(service_url)
    with ThreadPoolExecutor(20) as threads:
        # When all of them publish
        receipts = list(threads.map(lambda n: publisher.publish("a", id=str(n)), range(400)))

    # Then everything is there once, over one connection
    assert rabbitmq.connection_count(service_url) - before <= 1
    assert sorted(receipt.id for receipt in receipts) == sorted(intake_ids(service_url))


def test_one_wrong_event_does_not_stop_the_others(publisher: Publisher, service_url: str) -> None:
    # Given three events, one of which JSON cannot say
    events = [Event(type="a", id="1"), Event(type="a", id="2", data={"set": {1}}), Event(type="a", id="3")]

    # When they are published together
    with pytest.raises(SomeNotPublished) as failed:
        publisher.publish_many(events)

    # Then the wrong one is named and the others are there
    assert [error.event_id for error in failed.value.errors] == ["2"]
    assert isinstance(failed.value.errors[0], InvalidEvent)
    assert intake_ids(service_url) == ["1", "3"]


def test_without_the_exchange_it_says_what_to_do(broker_url: str) -> None:
    # Given a broker on which nothing was declared
    with Publisher(broker_url, source="/s") as publisher, pytest.raises(Unroutable, match="topology apply"):
        publisher.publish("a")


def test_without_a_queue_it_is_unroutable_and_the_next_one_is_not(service_url: str) -> None:
    # Given an exchange that leads nowhere
    with pika.BlockingConnection(pika.URLParameters(service_url)) as connection:
        connection.channel().exchange_declare("nowhere", "topic", durable=True)

    # When an event goes there, it raises
    with Publisher(service_url, source="/s", exchange="nowhere") as lost, pytest.raises(Unroutable):
        lost.publish("a")

    # Then another publisher is none the worse
    with Publisher(service_url, source="/s") as publisher:
        publisher.publish("a", id="1")
    assert intake_ids(service_url) == ["1"]


def test_a_full_queue_is_a_rejection(service_url: str) -> None:
    # Given a queue that takes two messages
    with pika.BlockingConnection(pika.URLParameters(service_url)) as connection:
        channel = connection.channel()
        channel.exchange_declare("small", "topic", durable=True)
        arguments = {"x-queue-type": "quorum", "x-max-length": 2, "x-overflow": "reject-publish"}
        channel.queue_declare("small", durable=True, arguments=arguments)
        channel.queue_bind("small", "small", "#")

    # When more are published than it takes, the publisher hears of it
    accepted: list[str] = []
    with Publisher(service_url, source="/s", exchange="small") as publisher, pytest.raises(Rejected):
        accepted.extend(publisher.publish("a").id for _ in range(50))

    # Then what was accepted, and nothing else, is in the queue (RabbitMQ may take one more than the limit)
    assert len(list(taken(service_url, "small"))) == len(accepted)


def test_an_alarm_ends_in_an_error_within_the_time_given(publisher: Publisher, rabbitmq: RabbitMQ) -> None:
    # Given a connected publisher and a broker whose disk is full
    publisher.publish("a", id="before")
    rabbitmq.set_disk_alarm()
    try:
        # When an event is published, then it raises instead of hanging
        with pytest.raises(BrokerBlocked, match="disk"):
            publisher.publish("a", id="during", timeout=1)
    finally:
        rabbitmq.clear_disk_alarm()

    # And when the disk has room again, publishing goes on
    assert publisher.publish("a", id="after", timeout=PATIENCE_S).id == "after"


def test_a_publisher_that_does_not_wait_for_alarms_raises_at_once_and_goes_on_by_itself(
    service_url: str, rabbitmq: RabbitMQ
) -> None:
    heard: list[str] = []
    with Publisher(service_url, source="/s", waits_for_alarms=False, on_alarm=heard.append) as publisher:
        publisher.publish("a", id="before")
        rabbitmq.set_disk_alarm()
        try:
            # Given an event that makes the broker say so, which it does only to those who publish
            with pytest.raises(BrokerBlocked, match="disk"):
                publisher.publish("a", id="first", timeout=PATIENCE_S)
            # When more are published, with all the time in the world, then each is refused by `submit` itself
            with pytest.raises(BrokerBlocked, match="disk"):
                publisher.submit(Event(type="a", id="second"), timeout=PATIENCE_S)
        finally:
            rabbitmq.clear_disk_alarm()
        # And when the disk has room again, publishing goes on
        assert until_taken(publisher, "after").id == "after"
    # And who asked to be told has heard both
    assert "disk" in heard[-2]
    assert heard[-1] == ""


def until_taken(publisher: Publisher, event_id: str) -> Receipt:
    """Publish again and again until the broker's word that it has room again has come."""
    while True:
        with suppress(BrokerBlocked):
            return publisher.publish("a", id=event_id, timeout=PATIENCE_S)


def test_a_connection_closed_by_the_broker_is_made_again(
    publisher: Publisher, service_url: str, rabbitmq: RabbitMQ
) -> None:
    publisher.publish("a", id="1")
    rabbitmq.close_connections()
    publisher.publish("a", id="2")
    assert set(intake_ids(service_url)) == {"1", "2"}


def test_nothing_confirmed_is_lost_while_the_broker_restarts(
    publisher: Publisher, service_url: str, rabbitmq: RabbitMQ
) -> None:
    # Given threads that publish all the time
    confirmed: list[str] = []
    numbers, enough = count(), threading.Event()
    begun = threading.Event()

    def publish_on() -> None:
        while not enough.is_set():
            confirmed.append(publisher.publish("a", id=str(next(numbers)), timeout=PATIENCE_S).id)
            begun.set()

    with ThreadPoolExecutor(4) as threads:
        working = [threads.submit(publish_on) for _ in range(4)]
        begun.wait()

        # When the broker goes away and returns in the middle of it
        rabbitmq.kill()
        rabbitmq.start()
        publisher.publish("a", id="after", timeout=PATIENCE_S)
        enough.set()

        # Then no call failed, and everything confirmed is there (some twice, with the same id)
        assert [work.result() for work in working] == [None] * 4
    assert set(confirmed) | {"after"} == set(intake_ids(service_url))


def test_a_broker_that_is_away_is_named_after_the_time_given() -> None:
    with Publisher("amqp://127.0.0.1:1/", source="/s") as publisher, pytest.raises(BrokerUnreachable, match="refused"):
        publisher.publish("a", timeout=0.5)


def test_a_wrong_password_raises_without_waiting(broker_url: str) -> None:
    url = broker_url.replace("guest:guest", "guest:wrong")
    with Publisher(url, source="/s") as publisher, pytest.raises(BrokerUnreachable, match="login"):
        publisher.publish("a", timeout=3600)


def test_an_event_its_user_may_not_publish_fails_at_once_beside_those_it_may(
    service_url: str, rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a user that may publish events, but no urgent ones
    url = rabbitmq.user_of(service_url, "shop", write=r"^notifier\.events$")
    with Publisher(url, source="/s", timeout=PATIENCE_S) as publisher:
        # When it publishes both, many times
        futures = [
            publisher.submit(Event(type="a", id=f"{n}{kind}"), urgent=kind == "u") for n in range(50) for kind in "eu"
        ]
        errors = [error for future in futures[1::2] if (error := future.exception())]

        # Then each of the urgent ones is refused with the permission that is missing, and none of the others
        assert len(errors) == 50
        assert {type(error) for error in errors} == {AccessRefused}
        assert "'notifier.urgent'" in str(errors[0])
        assert "set_permissions" in str(errors[0])
        assert "shop" not in str(errors[0])
        assert [future.result().id for future in futures[::2]] == [f"{n}e" for n in range(50)]

        # And the connection was never lost
        assert [record.message for record in caplog.records if record.name == "notifier.client"] == []

        # And when the permission is given, urgent events go out, without anything begun anew
        rabbitmq.permit(url, write=r"^notifier\.(events|urgent)$")
        assert publisher.publish("a", id="urgent", urgent=True).id == "urgent"
    assert sorted(intake_ids(service_url)) == sorted(f"{n}e" for n in range(50))


def test_a_type_its_user_may_not_publish_fails_beside_those_it_may(service_url: str, rabbitmq: RabbitMQ) -> None:
    # Given a user that may publish types of orders only
    url = rabbitmq.user_of(service_url, "shop", write=r"^notifier\.events$")
    rabbitmq.permit_topics(url, "notifier.events", r"^order\.")
    with Publisher(url, source="/s", timeout=PATIENCE_S) as publisher:
        # When it publishes others among them
        types = ["order.placed", "user.made", "order.paid", "user.gone", "order.sent"]
        futures = [publisher.submit(Event(type=kind, id=kind)) for kind in types]

        # Then only those are refused, and told by their type
        refused = [kind for kind, future in zip(types, futures, strict=True) if future.exception()]
        assert refused == ["user.made", "user.gone"]
        assert isinstance(futures[1].exception(), AccessRefused)
        assert "'user.made'" in str(futures[1].exception())
    assert set(intake_ids(service_url)) == {"order.placed", "order.paid", "order.sent"}


def test_a_closed_publisher_says_so(service_url: str) -> None:
    publisher = Publisher(service_url, source="/s")
    publisher.publish("a")
    publisher.close()
    with pytest.raises(PublisherClosed):
        publisher.publish("b")


def test_closing_flushes_what_was_submitted(service_url: str) -> None:
    # Given many events that nobody waits for
    with Publisher(service_url, source="/s") as publisher:
        for number in range(500):
            publisher.submit(Event(type="a", id=str(number)))

    # Then they were published before the publisher was closed
    assert len(intake_ids(service_url)) == 500


def test_the_end_of_a_process_flushes_too(service_url: str) -> None:
    # Given a script that submits and simply ends
    script = (
        "import sys\nfrom notifier.client import Event, Publisher\n"
        "publisher = Publisher(sys.argv[1], source='/script')\n"
        "for n in range(200): publisher.submit(Event(type='a', id=str(n)))\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, service_url], check=True, timeout=PATIENCE_S)
    assert len(intake_ids(service_url)) == 200


def test_it_works_in_a_process_that_gevent_patched(service_url: str) -> None:
    # Given a service on gevent, where threads are greenlets
    script = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import gevent, sys\nfrom notifier.client import Publisher\n"
        "publisher = Publisher(sys.argv[1], source='/gevent')\n"
        "jobs = [gevent.spawn(publisher.publish, 'a', id=str(n)) for n in range(50)]\n"
        "print(len({job.get().id for job in jobs}))\npublisher.close()\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, service_url]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
    assert out.stdout.split() == ["50"]
    assert len(intake_ids(service_url)) == 50


def in_a_fork(work: Callable[[], None]) -> int:
    context = multiprocessing.get_context("fork")
    process = context.Process(target=work)
    process.start()
    process.join(30)
    return process.exitcode if process.exitcode is not None else -1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_parent_and_child_both_publish_after_a_fork(publisher: Publisher, service_url: str) -> None:
    # Given a publisher that is connected before the fork, as under gunicorn with preload
    publisher.publish("a", id="parent-1")

    # When the child publishes over it, and then the parent again
    assert in_a_fork(lambda: publisher.publish("a", id="child", timeout=PATIENCE_S) and None) == 0
    publisher.publish("a", id="parent-2")

    # Then all three are there
    assert sorted(intake_ids(service_url)) == ["child", "parent-1", "parent-2"]


def test_the_client_imports_nothing_but_pika_and_the_standard_library() -> None:
    # Given what a publishing service has installed: pika, and not what the service itself needs
    script = (
        "import sys\nbefore = set(sys.modules)\nimport notifier.client\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=PATIENCE_S)
    assert out.stdout.split() == ["notifier", "pika"]
