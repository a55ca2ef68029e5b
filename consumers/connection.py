"""One AMQP connection on the running asyncio loop, with coroutines where pika has callbacks.

pika's exceptions become ours in `translated`, and only there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from os import PathLike
from typing import Any, TypeVar

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.utils.connection_workflow import AMQPConnectionWorkflowFailed, AMQPConnectorPhaseErrorBase
from pika.channel import Channel
from pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosed,
    ConnectionClosed,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from notifier.client.parameters import connection_parameters, place
from notifier.client.silence import Silence
from notifier.errors import BrokerUnavailable, Problem, SettingsError

T = TypeVar("T")

#: Seconds a goodbye may take; a broker in an alarm never answers it.
CLOSE_TIMEOUT_S = 3.0


#: Seconds between two looks whether a node is frozen, or a channel does not confirm.
LOOK_EVERY_S = 0.5


def parameters(
    urls: str, name: str, ca_file: str | PathLike[str] | None = None
) -> tuple[pika.ConnectionParameters, ...]:
    """Of each node. Raises `SettingsError` when a URL cannot be read. Alarms are waited for without a time limit."""
    try:
        return connection_parameters(urls, name, ca_file=ca_file, blocked_timeout=None)
    except (ValueError, OSError) as error:
        fix = "write amqp://user:password@host:5672/vhost"
        raise SettingsError([Problem("NOTIFIER_BROKER_URL", str(error), fix)]) from error


class _CorkedConnection(AsyncioConnection):  # type: ignore[misc]
    """Writes what one turn of the loop produced with one system call; pika makes one per message (30 µs each)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._corked: list[bytes] = []
        super().__init__(*args, **options)

    def _adapter_emit_data(self, data: bytes) -> None:
        if not self._corked:
            asyncio.get_running_loop().call_soon(self._uncork)
        self._corked.append(data)

    def _adapter_disconnect_stream(self) -> None:
        # The last word to the broker is said just before this.
        self._uncork()
        super()._adapter_disconnect_stream()

    def hang_up(self, why: str) -> None:
        """Close the socket without waiting for anybody."""
        self._terminate_stream(ConnectionError(why))

    def _uncork(self) -> None:
        data, self._corked = b"".join(self._corked), []
        if data and self._transport is not None:
            super()._adapter_emit_data(data)


class BrokerConnection:
    """An open connection. ``lost`` is done, with `BrokerUnavailable`, as soon as it is not."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.lost: asyncio.Future[BrokerUnavailable] = asyncio.get_running_loop().create_future()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_blocked = False
        """Whether an alarm blocks publishers."""
        self.has_others = False
        """Whether there are other nodes to go to."""
        self._silence = Silence(LOOK_EVERY_S)
        self._connection: _CorkedConnection

    @classmethod
    async def open(
        cls,
        target: pika.ConnectionParameters,
        on_blocked: Callable[[str | None], None] = lambda _: None,
        *,
        has_others: bool = False,
    ) -> BrokerConnection:
        """Raises `BrokerUnavailable`. ``on_blocked`` hears the reason of an alarm, and None when it is over.

        ``has_others``: a frozen node ends the connection within seconds, because there are other nodes.
        """
        self = cls(place(target))
        self._connection = _CorkedConnection(
            target,
            on_open_callback=lambda _: _settle(self._opened, None),
            on_open_error_callback=lambda _, error: self._failed(error),
            on_close_callback=lambda _, error: _settle(self.lost, translated(error, self.where)),
            custom_ioloop=asyncio.get_running_loop(),
        )

        def blocked(reason: str | None) -> None:
            self.is_blocked = reason is not None
            on_blocked(reason)

        self._connection.add_on_connection_blocked_callback(lambda _, frame: blocked(str(frame.method.reason)))
        self._connection.add_on_connection_unblocked_callback(lambda _, __: blocked(None))
        self.has_others = has_others
        await self._opened
        if has_others:
            self._look()
        return self

    def _look(self) -> None:
        if self.lost.done():
            return
        if reason := self._silence.look(self._connection.bytes_received):
            self._connection.hang_up(reason)
        else:
            asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _failed(self, error: BaseException | str) -> None:
        if not self._opened.done():
            self._opened.set_exception(translated(error, self.where))

    @property
    def server_version(self) -> str:
        """RabbitMQ's, such as ``3.10.8``."""
        properties: dict[str, Any] = self._connection.server_properties or {}
        return str(properties.get("version", ""))

    async def channel(self) -> Channel:
        """A new channel. Raises `BrokerUnavailable`."""
        opened: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()
        return await self.call(opened, lambda: self._connection.channel(on_open_callback=lambda c: _settle(opened, c)))

    async def call(self, answer: asyncio.Future[T], ask: Callable[[], Any]) -> T:
        """Ask the broker something and wait for the answer or for the end of the connection."""
        try:
            ask()
        except AMQPError as error:
            raise translated(error, self.where) from error
        await first(answer, self.lost)
        if answer.done():
            return answer.result()
        raise self.lost.result()

    def hang_up(self, why: str) -> None:
        """End it without a goodbye; ``lost`` says why."""
        self._connection.hang_up(why)

    async def close(self) -> None:
        """Say goodbye; never raises, and hangs up when there is no answer within `CLOSE_TIMEOUT_S`."""
        if self._connection.is_open:
            self._connection.close()
        await asyncio.wait({self.lost}, timeout=CLOSE_TIMEOUT_S)
        if not self.lost.done():
            self._connection.hang_up("no answer to our goodbye")
            await self.lost


def translated(error: BaseException | str, where: str) -> BrokerUnavailable:
    """The error of ours that says what pika's means."""
    inner = _innermost(error)
    if isinstance(inner, ProbableAuthenticationError | AuthenticationError):
        return BrokerUnavailable(f"RabbitMQ at {where} refused the user name or password of NOTIFIER_BROKER_URL")
    if isinstance(inner, ProbableAccessDeniedError):
        return BrokerUnavailable(f"RabbitMQ at {where}: this user may not use this vhost, or it does not exist")
    if isinstance(inner, ConnectionClosed | ChannelClosed):
        return BrokerUnavailable(f"RabbitMQ at {where} said {inner.reply_code} {inner.reply_text}")
    text = str(inner) or type(inner).__name__
    return BrokerUnavailable(f"RabbitMQ at {where} cannot be reached: {text}")


def _innermost(error: Any) -> Any:
    """The cause below the wrappers of pika's connection workflow."""
    if isinstance(error, AMQPConnectionWorkflowFailed) and error.exceptions:
        return _innermost(error.exceptions[-1])
    if isinstance(error, AMQPConnectorPhaseErrorBase):
        return _innermost(error.exception)
    if isinstance(error, AMQPError) and error.args and isinstance(error.args[0], BaseException):
        return _innermost(error.args[0])
    return error


async def first(*futures: asyncio.Future[Any]) -> None:
    """Wait until one of them is done; it is left as it is."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _settle(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)
