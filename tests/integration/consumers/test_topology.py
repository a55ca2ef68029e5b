"""What we declare is what kombu declares: two declarations that differ in one argument stop a worker with a 406."""

import pika
import pytest
from kombu import Connection as KombuConnection
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)

from consumers.topology import apply_topology, bindings, describe, queues
from notifier.celery import work_queues
from notifier.domain.rule import WORK_QUEUES
from notifier.domain.topology import (
    DEAD_LETTERS,
    FAILURE_QUEUES,
    FAILURES_EXCHANGE,
    SHELVES,
    TASKS_EXCHANGE,
    WAITING_QUEUES,
)
from notifier.errors import BrokerUnavailable, TopologyConflict
from tests.servers.patience import PATIENCE_S


def declare_as_a_worker_does(url: str) -> None:
    with KombuConnection(url) as connection:
        declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
        for queue in work_queues(embedded=False):
            queue(connection.channel()).declare()
            bind_queue_to_native_delayed_delivery_exchange(connection, queue)


def test_a_worker_accepts_what_we_declared(broker_url: str) -> None:
    # Given the topology as `notifier topology apply` leaves it
    declared = apply_topology(broker_url)

    # When a worker declares the same queues through kombu, it meets no difference (406)
    declare_as_a_worker_does(broker_url)

    # Then everything in the description is there
    assert {d.name for d in declared if d.kind == "queue"} == {queue["name"] for queue in describe()["queues"]}


def test_we_accept_what_a_worker_declared_first(broker_url: str) -> None:
    # Given the failure queues' exchange is not there yet, and a worker that was started before anything else
    declare_as_a_worker_does(broker_url)

    # When we declare, twice, then nothing conflicts
    assert apply_topology(broker_url) == apply_topology(broker_url)


def test_a_delayed_task_comes_back_to_its_own_queue_only(broker_url: str) -> None:
    # Given the topology and no worker at all
    apply_topology(broker_url)
    connection = pika.BlockingConnection(pika.URLParameters(broker_url))
    channel = connection.channel()
    channel.confirm_delivery()

    # When a task is published with a delay of one second, the way kombu spells it
    key = ".".join(f"{1:028b}") + ".email-high"
    channel.basic_publish("celery_delayed_27", key, b"{}", mandatory=True)

    # Then it arrives once, in email-high
    for _ in channel.consume("email-high", inactivity_timeout=PATIENCE_S):
        break
    channel.cancel()
    others = [channel.basic_get(name)[0] for name in WORK_QUEUES]
    connection.close()
    assert [get.routing_key for get in others if get is not None] == []


def test_an_earlier_releases_bindings_are_taken_away(broker_url: str) -> None:
    # Given a deployment of a release that let RabbitMQ dead-letter straight into the failure queues
    apply_topology(broker_url)
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        for name in FAILURE_QUEUES:
            channel.queue_bind(name, FAILURES_EXCHANGE, name)

        # When this release starts, and RabbitMQ dead-letters what a worker rejects
        apply_topology(broker_url)
        channel.basic_publish(TASKS_EXCHANGE, "email-high", b"rejected")
        for method, _, _ in channel.consume("email-high", inactivity_timeout=PATIENCE_S):
            channel.basic_reject(method.delivery_tag, requeue=False)
            break
        channel.cancel()

        # Then it waits among the dead letters, once, and in no failure queue
        arrived = next(iter(channel.consume(DEAD_LETTERS, inactivity_timeout=PATIENCE_S)))
        assert arrived[2] == b"rejected"
        assert arrived[0].routing_key == "failed-email"
        channel.cancel()
        assert channel.basic_get("failed-email") == (None, None, None)


def test_every_difference_is_named_with_the_way_out(broker_url: str) -> None:
    # Given two queues that somebody made with other arguments
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        channel.queue_declare("email-high", durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_declare("failed-email", durable=True)

    # When the topology is applied
    with pytest.raises(TopologyConflict) as conflict:
        apply_topology(broker_url)

    # Then both are explained at once, with the argument and what to do
    lines = str(conflict.value).splitlines()
    assert [line.split("'")[1] for line in lines] == ["failed-email", "email-high"]
    assert "x-queue-type" in lines[0]
    assert "rabbitmqctl delete_queue" in lines[1]


def test_a_broker_that_is_away_is_named_without_its_password() -> None:
    # Given nothing listens on port 1
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1/") as error:
        apply_topology("amqp://someone:verysecret@127.0.0.1:1/")
    assert "verysecret" not in str(error.value)


def test_a_wrong_password_is_called_that(broker_url: str) -> None:
    with pytest.raises(BrokerUnavailable, match="user name or password"):
        apply_topology(broker_url.replace("guest:guest", "guest:wrong"))


def test_no_work_queue_has_a_key_that_ends_another() -> None:
    # Native delay binds "#.<key>": a key that is the dot-suffix of another would run its tasks twice (trap T10).
    assert not any("." in name for name in WORK_QUEUES)
    assert {b.target for b in bindings() if b.source == "notifier.tasks"} == {*WORK_QUEUES, *WAITING_QUEUES}


def test_no_failure_queue_carries_a_delivery_limit_that_is_ever_reached() -> None:
    # -1 as an argument means "drop at the first return" on RabbitMQ 3.10 (trap T13), so for those that earlier releases
    # declared without any it is left to a policy.
    assert all("x-delivery-limit" not in q.arguments for q in queues() if q.name in FAILURE_QUEUES)
    # Shelves say a number that no message comes to, on every version and without a policy.
    shelves = [q for q in queues() if q.name.startswith(("failed-", "held-")) and q.name not in FAILURE_QUEUES]
    assert len(shelves) == (len(FAILURE_QUEUES) + 1) * SHELVES + 1
    assert {q.arguments["x-delivery-limit"] for q in shelves} == {1_000_000}
