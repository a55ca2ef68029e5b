"""The client with a list of addresses: it goes to the next one, whatever is wrong with the first."""

import threading
from collections.abc import Iterator

import orjson
import pika
import pytest

from consumers.topology import apply_topology
from notifier.client import BrokerUnreachable, Publisher
from tests.servers.freezing import FreezingWay
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.ports import free_port
from tests.servers.rabbitmq import RabbitMQ


@pytest.fixture(scope="module")
def url(rabbitmq: RabbitMQ) -> Iterator[str]:
    url = rabbitmq.new_vhost()
    apply_topology(url)
    yield url
    rabbitmq.delete_vhost(url)


@pytest.fixture
def mute() -> Iterator[FreezingWay]:
    way = FreezingWay(None)
    yield way
    way.close()


def at_port(url: str, rabbitmq: RabbitMQ, port: int) -> str:
    return url.replace(f":{rabbitmq.port}/", f":{port}/")


def ids(url: str) -> list[str]:
    """Of all that is in the intake queue, which is empty afterwards."""
    found = []
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        while (body := channel.basic_get("notifier.intake", auto_ack=True)[2]) is not None:
            found.append(orjson.loads(body)["id"])
    return found


@pytest.mark.parametrize("between", [";", ",", ", "])
def test_the_next_node_is_used_when_the_first_is_away(url: str, rabbitmq: RabbitMQ, between: str) -> None:
    nodes = between.join([at_port(url, rabbitmq, free_port()), url])
    with Publisher(nodes, source="/s", timeout=PATIENCE_S) as publisher:
        publisher.publish("a", id="1")
    assert ids(url) == ["1"]


def test_a_node_that_never_says_hello_is_left(url: str, rabbitmq: RabbitMQ, mute: FreezingWay) -> None:
    with Publisher(f"{at_port(url, rabbitmq, mute.port)};{url}", source="/s", timeout=PATIENCE_S) as publisher:
        publisher.publish("a", id="1")
    assert ids(url) == ["1"]


def test_a_node_that_freezes_is_left_and_what_it_never_confirmed_is_published_again(
    url: str, rabbitmq: RabbitMQ
) -> None:
    # Given a publisher that has published by the first of two nodes
    way = FreezingWay(rabbitmq.port)
    publisher = Publisher(f"{at_port(url, rabbitmq, way.port)};{url}", source="/s", timeout=PATIENCE_S)
    publisher.publish("a", id="before")

    # When that freezes, with several events on their way
    way.freeze()
    threads = [threading.Thread(target=publisher.publish, args=("a",), kwargs={"id": str(n)}) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Then all are taken by the other one, and an idle one would have been left too
    assert publisher.trouble is None
    assert set(ids(url)) == {"before", *"01234"}
    publisher.close()
    way.close()


def test_an_idle_publisher_says_when_it_is_open_and_leaves_a_node_that_freezes(url: str, rabbitmq: RabbitMQ) -> None:
    # Given one that was told to connect and has nothing to do, as the API's
    way = FreezingWay(rabbitmq.port)
    with Publisher(f"{at_port(url, rabbitmq, way.port)};{url}", source="/s") as publisher:
        assert publisher.trouble is not None
        publisher.open()
        poll(lambda: publisher.trouble is None, "an open channel")

        # When its node freezes, then it says so, and soon has another
        way.freeze()
        poll(lambda: publisher.trouble is not None, "trouble")
        poll(lambda: publisher.trouble is None, "an open channel again")
    way.close()


def test_a_queue_that_answers_nothing_is_asked_over_another_channel_before_the_node_is_left(
    url: str, rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a queue that stands still, as while it has no leader, at a node that talks
    with Publisher(f"{url};{at_port(url, rabbitmq, free_port())}", source="/s", timeout=PATIENCE_S) as publisher:
        publisher.publish("a", id="before")
        rabbitmq.suspend_queue(url, "notifier.intake")
        publishing = threading.Thread(target=publisher.publish, args=("a",), kwargs={"id": "meanwhile"})
        publishing.start()

        # When the client gives its channel up, and the queue goes on
        poll(lambda: "trying other channels" in caplog.text, "another channel")
        rabbitmq.resume_queue(url, "notifier.intake")
        publishing.join()

    # Then the event has arrived by the connection that there was: the next node may be the one that is frozen
    assert "was lost" not in caplog.text
    assert set(ids(url)) == {"before", "meanwhile"}


def test_when_all_are_away_the_last_one_is_named_without_its_password() -> None:
    nodes = "amqp://me:verysecret@127.0.0.1:1/;amqp://me:othersecret@127.0.0.1:2/"
    with (
        Publisher(nodes, source="/s") as publisher,
        pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:[12]/") as told,
    ):
        publisher.publish("a", timeout=1)
    assert "secret" not in str(told.value)
