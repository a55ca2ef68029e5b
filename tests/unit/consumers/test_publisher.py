"""Each message has a future that says what became of it: taken, refused, without a queue, or nobody knows."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker

from consumers.publisher import ConfirmedPublisher, Outgoing, Unroutable, publish_all
from notifier.errors import BrokerUnavailable, PublishRejected
from tests.unit.consumers.broker_double import Channel, Connection, turns


def message(name: str) -> Outgoing:
    return Outgoing("exchange", name, b"body", pika.BasicProperties(message_id=name))


def run(work: Callable[[ConfirmedPublisher, Channel], Awaitable[Any]]) -> Any:
    """With a publisher whose broker answers only what the test says."""

    async def main() -> Any:
        connection: Any = Connection()
        publisher = await ConfirmedPublisher.open(connection)
        channel = connection.channels[0]
        channel.confirms = False
        return await work(publisher, channel)

    return asyncio.run(main())


def test_a_confirm_of_several_is_of_all_before_it_and_of_none_after() -> None:
    async def work(publisher: ConfirmedPublisher, channel: Channel) -> list[bool]:
        futures = [publisher.publish(message(name)) for name in "abcd"]
        channel.confirm(2)
        first = [future.done() for future in futures]
        channel.confirm(3, multiple=True)
        assert first == [False, True, False, False]
        assert publisher.unconfirmed == 1
        return [future.done() for future in futures]

    assert run(work) == [True, True, True, False]


def test_a_refusal_is_told_to_the_message_it_is_about() -> None:
    async def work(publisher: ConfirmedPublisher, channel: Channel) -> Any:
        futures = [publisher.publish(message(name)) for name in "ab"]
        channel.refuse(1)
        channel.confirm(2)
        return futures[0].exception(), futures[1].exception()

    refused, taken = run(work)

    assert isinstance(refused, PublishRejected)
    assert not isinstance(refused, Unroutable)
    assert taken is None


def test_a_message_that_came_back_had_no_queue_although_it_is_confirmed() -> None:
    async def work(publisher: ConfirmedPublisher, channel: Channel) -> Any:
        futures = [publisher.publish(message(name)) for name in "ab"]
        channel.give_back(0)
        channel.confirm(2, multiple=True)
        return futures[0].exception(), futures[1].exception()

    returned, taken = run(work)

    assert isinstance(returned, Unroutable)
    assert "notifier topology apply" in str(returned)
    assert taken is None


def test_when_the_channel_ends_nobody_knows_what_became_of_the_rest() -> None:
    async def work(publisher: ConfirmedPublisher, channel: Channel) -> Any:
        futures = [publisher.publish(message(name)) for name in "ab"]
        channel.confirm(1)
        channel.break_off(ChannelClosedByBroker(404, "NOT_FOUND"))
        late = publisher.publish(message("c"))
        return [future.exception() for future in (*futures, late)]

    taken, unknown, late = run(work)

    assert taken is None
    assert isinstance(unknown, BrokerUnavailable)
    assert "404 NOT_FOUND" in str(unknown)
    assert isinstance(late, BrokerUnavailable)


def test_what_is_abandoned_is_to_be_published_again() -> None:
    async def work(publisher: ConfirmedPublisher, channel: Channel) -> Any:
        future = publisher.publish(message("a"))
        publisher.abandon("it stalls")
        channel.confirm(1)
        return future.exception(), channel.is_open

    error, is_open = run(work)

    assert isinstance(error, PublishRejected)
    assert not is_open


@pytest.mark.parametrize("lost", [False, True])
def test_all_are_waited_for_and_the_refused_ones_told_unless_nobody_knows(lost: bool) -> None:
    async def work(publisher: ConfirmedPublisher, channel: Channel) -> Any:
        messages = [message(name) for name in "abc"]
        publishing = asyncio.ensure_future(publish_all(publisher, messages))
        await turns(2)
        channel.refuse(1)
        channel.confirm(2)
        if lost:
            channel.break_off(ChannelClosedByBroker(541, "INTERNAL_ERROR"))
        else:
            channel.refuse(3)
        return [rejected.message.routing_key for rejected in await publishing]

    if lost:
        with pytest.raises(BrokerUnavailable):
            run(work)
    else:
        assert run(work) == ["a", "c"]
