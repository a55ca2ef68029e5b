"""What pika says becomes our error with the way out; a call ends with its answer or with the connection."""

import asyncio
from typing import Any

import pytest
from pika.adapters.utils.connection_workflow import AMQPConnectionWorkflowFailed, AMQPConnectorSocketConnectError
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from consumers.connection import BrokerConnection, first, parameters, translated
from notifier.errors import BrokerUnavailable, SettingsError

WHERE = "broker.example:5672"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ProbableAuthenticationError(403, "no"), "refused the user name or password of NOTIFIER_BROKER_URL"),
        (ProbableAccessDeniedError(530, "no"), "may not use this vhost, or it does not exist"),
        (ConnectionClosedByBroker(320, "CONNECTION_FORCED"), "said 320 CONNECTION_FORCED"),
        (ChannelClosedByBroker(404, "NOT_FOUND"), "said 404 NOT_FOUND"),
        (AMQPConnectorSocketConnectError(ConnectionRefusedError(111, "refused")), "cannot be reached: [Errno 111]"),
        (AMQPConnectionError(ConnectionResetError(104, "reset")), "cannot be reached: [Errno 104]"),
        (TimeoutError(), "cannot be reached: TimeoutError"),
        ("a text", "cannot be reached: a text"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, BaseException) else "",
)
def test_each_error_says_where_and_what(error: Any, says: str) -> None:
    found = str(translated(error, WHERE))

    assert WHERE in found
    assert says in found


def test_of_several_nodes_that_failed_the_last_ones_reason_is_told() -> None:
    failed = AMQPConnectionWorkflowFailed(
        [
            AMQPConnectorSocketConnectError(ConnectionRefusedError(111, "refused")),
            AMQPConnectorSocketConnectError(TimeoutError("silent")),
        ]
    )

    assert "cannot be reached: silent" in str(translated(failed, WHERE))


@pytest.mark.parametrize("urls", ["amqp://", "http://broker:5672/", "amqp://broker:port/"])
def test_an_address_that_cannot_be_read_is_told_with_its_form(urls: str) -> None:
    with pytest.raises(SettingsError, match="NOTIFIER_BROKER_URL") as told:
        parameters(urls, "test")

    assert "amqp://user:password@host:5672/vhost" in str(told.value)


def test_there_are_as_many_nodes_as_addresses_and_alarms_are_waited_for() -> None:
    found = parameters("amqp://one.example/v,amqp://two.example:5673/v", "test")

    assert [(one.host, one.port, one.virtual_host) for one in found] == [
        ("one.example", 5672, "v"),
        ("two.example", 5673, "v"),
    ]
    assert {one.blocked_connection_timeout for one in found} == {None}


def test_a_call_ends_with_its_answer_or_with_the_connection() -> None:
    async def main() -> None:
        connection = BrokerConnection(WHERE)
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        assert await connection.call(answered, lambda: answered.set_result(7)) == 7

        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(connection.lost.set_result, BrokerUnavailable("gone"))
        with pytest.raises(BrokerUnavailable, match="gone"):
            await connection.call(waiting, lambda: None)

        def closed() -> None:
            raise ChannelClosedByBroker(404, "NOT_FOUND")

        with pytest.raises(BrokerUnavailable, match="404"):
            await connection.call(waiting, closed)

    asyncio.run(main())


def test_the_first_of_several_is_enough_and_is_left_as_it_is() -> None:
    async def main() -> None:
        one, other = (asyncio.get_running_loop().create_future() for _ in range(2))
        other.set_exception(KeyError("left to whoever asks"))

        await first(one, other)

        assert not one.done()
        assert isinstance(other.exception(), KeyError)

    asyncio.run(main())
