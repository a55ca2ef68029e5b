"""A channel that no longer confirms is exchanged for another one of the same connection."""

import asyncio
from typing import Any

import pika
import pytest

from consumers import steady
from consumers.publisher import Outgoing
from consumers.steady import SteadyPublisher
from notifier.client.silence import UNCONFIRMED_S
from notifier.errors import BrokerUnavailable, PublishRejected
from tests.unit.consumers.broker_double import Connection

MESSAGE = Outgoing("exchange", "key", b"body", pika.BasicProperties(message_id="m"))


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look in each turn of the loop; the `Stall` counts looks of half a second."""
    pause = asyncio.sleep
    monkeypatch.setattr(steady.asyncio, "sleep", lambda _: pause(0))  # type: ignore[attr-defined]


def looks() -> int:
    return 4 * int(UNCONFIRMED_S / steady.LOOK_EVERY_S)


async def several_looks() -> None:
    for _ in range(looks()):
        await asyncio.sleep(0)


def test_what_was_never_confirmed_is_refused_and_goes_out_on_another_channel() -> None:
    async def main() -> None:
        connection: Any = Connection(has_others=True)
        publisher = await SteadyPublisher.open(connection)
        connection.channels[0].confirms = False
        future = publisher.publish(MESSAGE)

        await several_looks()

        assert isinstance(future.exception(), PublishRejected)
        assert [channel.is_open for channel in connection.channels] == [False, True]
        await publisher.publish(MESSAGE)
        assert len(connection.channels[1].published) == 1
        publisher.close()

    asyncio.run(main())


@pytest.mark.parametrize("why", ["nothing waits", "an alarm"])
def test_a_channel_that_is_well_or_held_back_by_an_alarm_is_kept(why: str) -> None:
    async def main() -> None:
        connection: Any = Connection(has_others=True)
        publisher = await SteadyPublisher.open(connection)
        if why == "an alarm":
            connection.is_blocked = True
            connection.channels[0].confirms = False
            publisher.publish(MESSAGE)

        await several_looks()

        assert len(connection.channels) == 1
        publisher.close()

    asyncio.run(main())


def test_with_the_connection_it_ends() -> None:
    async def main() -> bool:
        connection: Any = Connection(has_others=True)
        publisher = await SteadyPublisher.open(connection)
        connection.lost.set_result(BrokerUnavailable("gone"))
        await several_looks()
        return publisher._watching.done()

    assert asyncio.run(main())
