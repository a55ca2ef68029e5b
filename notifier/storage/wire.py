"""One round trip on a connection: all commands in one write, then all replies; on asyncio under one deadline.

redis-py's own pipeline packs word by word, and on asyncio sets a timer for each reply: 10 µs a command where this takes
2.6, and a delivery costs three. What it does besides is kept: its connections, its repeat after a broken one, its reply
callbacks.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis import exceptions as redis_errors
from redis._parsers.hiredis import NOT_ENOUGH_DATA

from notifier.storage.commands import Call
from notifier.storage.primary import Primary

if TYPE_CHECKING:
    import redis.asyncio
    from redis.asyncio.connection import AbstractConnection

#: Seconds until the last reply of a round trip. Our slowest takes milliseconds; a server silent for longer is away.
REPLIES_TIMEOUT_S = 5.0

#: What is to be done between the write and the replies of a round trip: computing, and nothing that waits for Redis.
Meanwhile = Callable[[], None] | None

#: Of a server that cannot do it now or any more: the connection is closed, and the next one asks Sentinel, if there is
#: one, where the primary is. A demoted primary answers READONLY, one that lost its own MASTERDOWN, a new one LOADING.
ELSEWHERE = (redis_errors.ConnectionError, redis_errors.ReadOnlyError, redis_errors.ClusterDownError)


def pack(calls: Sequence[Call]) -> bytes:
    """Commands in the Redis protocol: in C, a third of the time, unless a word has a lone surrogate."""
    try:
        return b"".join([pack_command(call.words) for call in calls])  # type: ignore[arg-type]
    except UnicodeEncodeError:
        return _pack_anything(calls)


def _pack_anything(calls: Sequence[Call]) -> bytes:
    """Lengths are of bytes, so only what is not ASCII is encoded by itself."""
    parts: list[str] = []
    for call in calls:
        words = call.words
        parts.append(f"*{len(words)}\r\n")
        for word in words:
            text = word if isinstance(word, str) else str(word)
            size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
            parts.append(f"${size}\r\n{text}\r\n")
    # Lone surrogates are valid in JSON strings, so in event ids; they must survive, not raise.
    return "".join(parts).encode("utf-8", "surrogatepass")


class Exchanger:
    """Round trips of threads and greenlets over one client's connections; at most one caller uses each at a time.

    A connection is taken from redis-py's pool once and then kept here: the pool asks its socket before each use whether
    it is still open, which under gevent is 23 µs of the 53 that a PING takes. One that was closed meanwhile says so
    when it is used, and is repeated on as redis-py would. Whatever ends an exchange early disconnects it, so none is
    given on with replies still to come.
    """

    is_cluster = False

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._free: list[Any] = []
        self._primary = Primary(client.connection_pool)

    def exchange(self, calls: Sequence[Call], meanwhile: Meanwhile = None) -> list[Any]:
        """The replies in order; a failed command has its exception as reply. Raises redis-py's connection errors.

        ``meanwhile`` is called once, while the server works; what it raises is raised here.
        """
        data = pack(calls)
        if self._primary.is_to_be_asked():
            self._primary.ask()
        connection = self.take()
        try:
            if self._primary.is_elsewhere(connection):
                connection.disconnect()
            replies = _repeated(connection, data, len(calls), meanwhile)
        finally:
            self.give(connection)
        return shaped(self.client.response_callbacks, calls, replies)

    def take(self) -> Any:
        """A connection for the caller alone, who must `give` it back."""
        try:
            return self._free.pop()
        except IndexError:
            return self.client.connection_pool.get_connection()

    def give(self, connection: Any) -> None:
        """For the next one; without replies still to come."""
        self._free.append(connection)

    def clients(self) -> list[redis.Redis]:
        """The one."""
        return [self.client]

    def near(self, call: Call) -> None:
        """Where it is run: scripts are loaded once in each of these places."""

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
        for sentinel in _sentinels(self.client):
            sentinel.close()

    def disconnect(self) -> None:
        """All that nobody uses: when one was closed by the server, so were the others."""
        for connection in self._free:
            connection.disconnect()


def _repeated(connection: Any, data: bytes, count: int, meanwhile: Meanwhile) -> list[Any]:
    once = Once(meanwhile)
    try:
        return _exchange(connection, data, count, once)
    except ELSEWHERE:
        connection.disconnect()
    try:
        return _exchange(connection, data, count, once)
    except ELSEWHERE:
        connection.disconnect()
        raise


class Once:
    """What is done while the server works, however often it is asked."""

    __slots__ = ("_do",)

    def __init__(self, do: Meanwhile) -> None:
        self._do = do

    def run(self) -> None:
        """Do it, the first time."""
        do, self._do = self._do, None
        if do is not None:
            do()


def _exchange(connection: Any, data: bytes, count: int, once: Once) -> list[Any]:
    send(connection, data)
    try:
        once.run()
    except BaseException:
        connection.disconnect()  # with replies still to come
        raise
    return _checked(read(connection, count))


def send(connection: Any, data: bytes) -> None:
    """Write packed commands, connecting first where need be."""
    if not connection.is_connected:
        # Left to itself redis-py would go to the host of before: only `connect` asks Sentinel.
        connection.connect()
    connection.send_packed_command([data])


def read(connection: Any, count: int) -> list[Any]:
    """So many replies; a failed command has its exception as reply."""
    replies: list[Any] = []
    arrived = _arrived(connection)
    for _ in range(count):
        if (reply := arrived()) is NOT_ENOUGH_DATA:
            try:
                reply = connection.read_response()
            except redis_errors.ResponseError as error:
                reply = error
        replies.append(reply)
    return replies


def _arrived(connection: Any) -> Callable[[], Any]:
    """Gives the next reply that is here already. redis-py asks a host name, a clock and three types for each.

    0.1 µs instead of 1 on threads and 3 on asyncio; who waits, is disconnected or told to go still goes its way.
    """
    reader = connection._parser._reader  # noqa: SLF001 - a hiredis.Reader, whose `gets` is public
    if reader is None:  # the client was closed beside us
        raise redis_errors.ConnectionError("the connection was closed")
    found: Callable[[], Any] = reader.gets
    return found


def _checked(replies: list[Any]) -> list[Any]:
    """A server that is loading its file or was demoted says so in a reply; we take that for no connection."""
    for reply in replies:
        if isinstance(reply, ELSEWHERE):
            raise reply
        # Before 7.0 a script passes the error on in a sentence of its own.
        if isinstance(reply, redis_errors.ResponseError) and "-READONLY " in str(reply):
            raise redis_errors.ReadOnlyError(str(reply)) from reply
    return replies


class AsyncExchanger:
    """Round trips over one asyncio client."""

    is_cluster = False

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.client = client
        self._primary = Primary(client.connection_pool)

    async def exchange(self, calls: Sequence[Call], meanwhile: Meanwhile = None) -> list[Any]:
        """See `exchange_async`."""
        return await exchange_async(self.client, calls, self._primary, meanwhile)

    def near(self, call: Call) -> None:
        """See `Exchanger.near`."""

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()
        for sentinel in _sentinels(self.client):
            await sentinel.aclose()


async def exchange_async(
    client: redis.asyncio.Redis, calls: Sequence[Call], primary: Primary, meanwhile: Meanwhile = None
) -> list[Any]:
    """The replies in order; a command that failed has its exception as reply. Raises redis-py's connection errors.

    ``meanwhile``: see `Exchanger.exchange`.
    """
    pool = client.connection_pool
    if primary.is_to_be_asked():
        await primary.ask_async()
    connection = await pool.get_connection()  # type: ignore[no-untyped-call]
    data = pack(calls)
    try:
        if primary.is_elsewhere(connection):
            await connection.disconnect()
        once = Once(meanwhile)
        replies = await connection.retry.call_with_retry(
            lambda: _exchange_async(connection, data, len(calls), once), lambda _: connection.disconnect()
        )
    finally:
        await pool.release(connection)
    return shaped(client.response_callbacks, calls, replies)


async def _exchange_async(connection: AbstractConnection, data: bytes, count: int, once: Once) -> list[Any]:
    try:
        async with asyncio.timeout(REPLIES_TIMEOUT_S):
            await send_async(connection, data)
            try:
                once.run()
            except BaseException:
                await connection.disconnect()  # with replies still to come
                raise
            replies = await read_async(connection, count)
    except TimeoutError as error:
        raise redis_errors.TimeoutError(f"no answer to {count} commands in {REPLIES_TIMEOUT_S:.0f} s") from error
    return _checked(replies)


async def send_async(connection: AbstractConnection, data: bytes) -> None:
    """As `send`."""
    if not connection.is_connected:
        await connection.connect()  # type: ignore[no-untyped-call]
    await connection.send_packed_command([data])


async def read_async(connection: AbstractConnection, count: int) -> list[Any]:
    """As `read`, without a deadline: the caller has one for all."""
    replies: list[Any] = []
    arrived = _arrived(connection)
    for _ in range(count):
        if (reply := arrived()) is NOT_ENOUGH_DATA:
            try:
                reply = await connection.read_response(timeout=math.inf)
            except redis_errors.ResponseError as error:
                reply = error
        replies.append(reply)
    return replies


def shaped(callbacks: Any, calls: Sequence[Call], replies: list[Any]) -> list[Any]:
    """Replies as redis-py gives them (HGETALL as a dictionary), so that both stores show operations the same."""
    for place, call in enumerate(calls):
        if call.script is None and (shape := callbacks.get(call.words[0])) is not None:
            reply = replies[place]
            replies[place] = reply if isinstance(reply, Exception) else shape(reply)
    return replies


def _sentinels(client: Any) -> Sequence[Any]:
    """The clients that ask where the primary is; redis-py leaves them open."""
    manager = getattr(client.connection_pool, "sentinel_manager", None)
    return manager.sentinels if manager is not None else ()
