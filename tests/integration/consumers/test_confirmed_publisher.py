"""Pipelined confirms on a real broker: each future tells the truth about its own message."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pika
import pytest

from consumers.connection import BrokerConnection, parameters
from consumers.publisher import ConfirmedPublisher, Outgoing, Unroutable, publish_all
from consumers.steady import SteadyPublisher
from consumers.topology import apply_topology
from notifier.errors import BrokerUnavailable, PublishRejected
from tests.servers.patience import PATIENCE_S
from tests.servers.rabbitmq import RabbitMQ


def message(number: int, key: str = "email-normal", exchange: str = "notifier.tasks") -> Outgoing:
    return Outgoing(exchange, key, b"x", pika.BasicProperties(message_id=str(number)))


def connected(url: str, work: Callable[[BrokerConnection, ConfirmedPublisher], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        connection = await BrokerConnection.open(*parameters(url, "test"))
        try:
            return await work(connection, await ConfirmedPublisher.open(connection))
        finally:
            await connection.close()

    return asyncio.run(main())


@pytest.fixture
def service_url(broker_url: str) -> str:
    apply_topology(broker_url)
    return broker_url


def test_exactly_the_messages_without_a_queue_are_refused(service_url: str, rabbitmq: RabbitMQ) -> None:
    # Given 3,000 messages of which every seventh leads nowhere
    messages = [message(n, "nowhere" if n % 7 == 0 else "email-normal") for n in range(3000)]

    async def work(_: BrokerConnection, publisher: ConfirmedPublisher) -> tuple[list[Any], int]:
        return await publish_all(publisher, messages), publisher.unconfirmed

    # When they are published at once
    rejected, unconfirmed = connected(service_url, work)

    # Then those are named, and all the others are in the queue
    assert [refused.message for refused in rejected] == messages[::7]
    assert all(isinstance(refused.error, Unroutable) for refused in rejected)
    assert unconfirmed == 0
    assert rabbitmq.queue_depths(service_url)["email-normal"] == 3000 - len(rejected)


def test_a_lost_connection_fails_what_was_not_confirmed(service_url: str, rabbitmq: RabbitMQ) -> None:
    async def work(connection: BrokerConnection, publisher: ConfirmedPublisher) -> None:
        # Given a broker that confirms nothing because of an alarm
        waiting = publisher.publish(message(1))
        await asyncio.to_thread(rabbitmq.close_connections)

        # When it closes the connection, then the message is known to be unknown, and so is the next
        with pytest.raises(BrokerUnavailable, match="closed by a test"):
            await waiting
        await connection.lost
        with pytest.raises(BrokerUnavailable):
            await publisher.publish(message(2))

    rabbitmq.set_disk_alarm()
    try:
        connected(service_url, work)
    finally:
        rabbitmq.clear_disk_alarm()


def test_closing_does_not_wait_for_a_broker_that_does_not_listen(service_url: str, rabbitmq: RabbitMQ) -> None:
    # Given a connection that an alarm has blocked, with a message nobody confirmed
    left: list[BrokerConnection] = []

    async def work(connection: BrokerConnection, publisher: ConfirmedPublisher) -> asyncio.Future[None]:
        left.append(connection)
        return publisher.publish(message(1))

    rabbitmq.set_disk_alarm()
    try:
        # When it is closed, then it is gone, and the message is known to be unknown
        waiting = connected(service_url, work)
    finally:
        rabbitmq.clear_disk_alarm()
    assert left[0].lost.done()
    assert isinstance(waiting.exception(), BrokerUnavailable)


def test_a_missing_exchange_fails_with_the_brokers_words(service_url: str) -> None:
    async def work(_: BrokerConnection, publisher: ConfirmedPublisher) -> None:
        with pytest.raises(BrokerUnavailable, match="no exchange 'missing'"):
            await publisher.publish(message(1, exchange="missing"))

    connected(service_url, work)


def test_a_virtual_host_that_is_not_there_is_called_that(rabbitmq: RabbitMQ) -> None:
    with pytest.raises(BrokerUnavailable, match="vhost"):
        connected(rabbitmq.url("missing"), lambda *_: asyncio.sleep(0))


def test_a_channel_that_only_refuses_is_replaced_and_its_connection_stays(service_url: str, rabbitmq: RabbitMQ) -> None:
    async def run() -> None:
        # Given a queue that refuses everything, as a channel does for ever that met no leader (RabbitMQ 3.10)
        rabbitmq.limit_queue(service_url, "email-normal", 1)
        connection = await BrokerConnection.open(*parameters(service_url, "test"), has_others=True)
        publisher = await SteadyPublisher.open(connection)
        first = publisher._current
        while publisher._current is first:
            with suppress(PublishRejected):
                await publisher.publish(message(1))
            await asyncio.sleep(0.1)

        # When the queue takes something again, then the new channel publishes to it
        rabbitmq.limit_queue(service_url, "email-normal", 1000)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(PublishRejected):
                    await publisher.publish(message(1))
                    break
        assert not connection.lost.done()
        publisher.close()
        await connection.close()

    asyncio.run(run())
