"""A window of a failure queue: many messages taken together, in the order in which they lie there.

Taken by a consumer with a prefetch, which is cancelled before anything is acknowledged: so it is given this many
messages and never one that the walk itself puts at the tail. RabbitMQ hands over hundreds in the time one ``basic.get``
takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from notifier.failures.publishing import Publishing

#: Messages of a window, at the most. A walker that dies gives so many back, each with one return more.
WINDOW = 500
#: Messages of the first window: nothing is known of their size.
FIRST_WINDOW = 50
#: Bytes a window should have; how many messages that is, the window before tells.
WINDOW_BYTES = 16 * 1024 * 1024
#: Seconds without a message after which the rest of a window is asked for one by one: the broker's word that a queue
#: is empty is an answer, silence is none.
QUIET_S = 0.25


@dataclass(frozen=True, slots=True)
class Taken:
    """One message, not acknowledged."""

    raw: Any
    """As the client has it."""
    body: bytes
    headers: Mapping[str, Any]
    content_type: str


def take(publishing: Publishing, queue: str, size: int) -> list[Taken]:
    """The next ``size`` messages; fewer when the queue has no more."""
    got = _consumed(publishing, queue, size) if publishing.has_broker and size > 1 else []
    while len(got) < size:
        # Not kombu's `Queue.get`: it raises for a message it cannot decompress, and such a one would end every walk.
        message = publishing.channel.basic_get(queue=queue, no_ack=False)
        if message is None:
            break
        got.append(message)
    return [_taken(publishing, message) for message in got]


def acknowledge(publishing: Publishing, window: Sequence[Taken]) -> None:
    """All of it."""
    if publishing.has_broker:
        publishing.channel.basic_ack(window[-1].raw.delivery_tag, multiple=True)
        return
    for one in window:
        one.raw.ack()


def following(size: int, window: Sequence[Taken], at_most: int = WINDOW) -> int:
    """How many messages the next window may have, after this one of ``size``."""
    average = max(1, sum(len(one.body) for one in window) // len(window))
    return max(1, min(size * 2, at_most, WINDOW_BYTES // average))


def _consumed(publishing: Publishing, queue: str, size: int) -> list[Any]:
    got: list[Any] = []
    channel = publishing.channel
    channel.basic_qos(0, size, False)
    consumer = channel.basic_consume(queue, no_ack=False, callback=got.append)
    connection = channel.connection
    # Without kombu's `drain_events`, which sets and unsets the time limit for each of a message's three frames.
    with suppress(TimeoutError), connection.transport.having_timeout(QUIET_S):
        while len(got) < size:
            connection.on_inbound_frame(connection.transport.read_frame())
    # When that was too slow, or nothing is there, whoever asks message by message is told.
    channel.basic_cancel(consumer)
    return got


def _taken(publishing: Publishing, raw: Any) -> Taken:
    properties = raw.properties if publishing.has_broker else {}
    headers = properties.get("application_headers") or {}
    if publishing.has_broker and "compression" not in headers:
        # Without kombu's message, which takes as long again to make.
        return Taken(raw, _as_bytes(raw.body), headers, properties.get("content_type") or "")
    message = publishing.channel.message_to_python(raw)
    return Taken(message, _as_bytes(message.body), message.headers or {}, message.content_type or "")


def _as_bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else str(body).encode()
