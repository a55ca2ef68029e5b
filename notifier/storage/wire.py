"""One round trip on an asyncio connection: all commands in one write, all replies under one deadline.

redis-py's own pipeline packs word by word and sets a timer for each reply: 10 µs a command where this takes 2.6, and an
event costs three. What it does besides is kept: its connections, its repeat after a broken one, its reply callbacks.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from redis import exceptions as redis_errors

from notifier.storage.commands import Call

if TYPE_CHECKING:
    import redis.asyncio
    from redis.asyncio.connection import AbstractConnection

#: Seconds until the last reply of a round trip. Our slowest takes milliseconds; a server silent for longer is away.
REPLIES_TIMEOUT_S = 5.0


def pack(calls: Sequence[Call]) -> bytes:
    """Commands in the Redis protocol. Lengths are of bytes, so only what is not ASCII is encoded by itself."""
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


async def exchange(client: redis.asyncio.Redis, calls: Sequence[Call]) -> list[Any]:
    """The replies in order; a command that failed has its exception as reply. Raises redis-py's connection errors."""
    pool = client.connection_pool
    connection = await pool.get_connection()  # type: ignore[no-untyped-call]
    data = pack(calls)
    try:
        replies = await connection.retry.call_with_retry(
            lambda: _exchange(connection, data, len(calls)), lambda _: connection.disconnect()
        )
    finally:
        await pool.release(connection)
    return _shaped(client.response_callbacks, calls, replies)


async def _exchange(connection: AbstractConnection, data: bytes, count: int) -> list[Any]:
    replies: list[Any] = []
    try:
        async with asyncio.timeout(REPLIES_TIMEOUT_S):
            await connection.send_packed_command([data])
            for _ in range(count):
                try:
                    # Infinite: the deadline above is one for all.
                    replies.append(await connection.read_response(timeout=math.inf))
                except redis_errors.ResponseError as error:
                    replies.append(error)
    except TimeoutError as error:
        raise redis_errors.TimeoutError(f"no answer to {count} commands in {REPLIES_TIMEOUT_S:.0f} s") from error
    return replies


def _shaped(callbacks: Any, calls: Sequence[Call], replies: list[Any]) -> list[Any]:
    """Replies as redis-py gives them (HGETALL as a dictionary), so that both stores show operations the same."""
    for place, call in enumerate(calls):
        if call.script is None and (shape := callbacks.get(call.words[0])) is not None:
            reply = replies[place]
            replies[place] = reply if isinstance(reply, Exception) else shape(reply)
    return replies
