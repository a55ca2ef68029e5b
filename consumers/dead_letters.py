"""`DeadLetterIntake`: takes what RabbitMQ dead-lettered by itself, parks it like everything else, then acknowledges.

Beside a `Session`, on its connection and with channels of its own: trouble here is logged and tried again, and never
delays events. A message is acknowledged after its parks are confirmed and indexed, so a kill anywhere repeats work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from logging import WARNING
from typing import Any, Protocol

import pika
from pika.channel import Channel
from pika.exceptions import AMQPError

from consumers.backoff import Backoff
from consumers.connection import BrokerConnection, first, translated
from consumers.outage import OutageRetry
from consumers.parking import parked_message
from consumers.publisher import publish_all
from consumers.steady import SteadyPublisher
from notifier import logs
from notifier.domain.parked import ParkedBatch, ParkedEvent
from notifier.domain.topology import DEAD_LETTERS
from notifier.errors import BrokerUnavailable, NotifierError

log = logs.get("failures")

#: Dead letters in our hands at once; each may be an event of many megabytes.
PREFETCH = 4
#: Seconds a dead letter waits while Redis is away or a failure queue is full; then it returns to its queue.
OUTAGE_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A dead letter as it came (`failures.dead_letters.DeadLetter` to whoever examines it)."""

    routing_key: str
    body: bytes
    headers: dict[str, Any]
    content_type: str


class Examined(Protocol):
    """What to do with one: `failures.dead_letters.Examined`."""

    @property
    def parks(self) -> tuple[ParkedBatch | ParkedEvent, ...]:
        """To publish and then to index."""

    @property
    def again_in(self) -> float:
        """Seconds after which to examine it again; 0 is done."""


@dataclass(frozen=True, slots=True)
class Examining:
    """The two steps that ask Redis; both may be repeated."""

    examine: Callable[[Taken], Awaitable[Examined]]
    index: Callable[[ParkedBatch | ParkedEvent], Awaitable[None]]


class DeadLetterIntake:
    """Runs until it is cancelled or its connection ends."""

    def __init__(
        self, connection: BrokerConnection, examining: Examining, restore: Callable[[], Awaitable[Any]]
    ) -> None:
        """``restore`` declares the topology again when it went missing."""
        self._connection = connection
        self._examining = examining
        self._restore = restore
        self._outage_retry = OutageRetry(OUTAGE_LIMIT_S, _on_wait)

    async def run(self) -> None:
        """Never raises: what goes wrong is logged, and what is not acknowledged returns to its queue."""
        backoff = Backoff()
        while not self._connection.lost.done():
            try:
                await self._consume()
            except NotifierError as error:
                logs.wide(log, "dead_letters.paused", level=WARNING, reason=str(error))
            except Exception:
                log.exception("dead_letters.failed")
            await asyncio.sleep(backoff.seconds())
            with suppress(NotifierError):
                await self._restore()

    async def _consume(self) -> None:
        """Settle dead letters until something ends. Raises the reason."""
        ended: asyncio.Future[NotifierError] = asyncio.get_running_loop().create_future()
        arrived: asyncio.Queue[tuple[int, Taken]] = asyncio.Queue()
        publisher = await SteadyPublisher.open(self._connection)
        channel = await self._connection.channel()
        hands = [asyncio.create_task(self._settle_all(channel, publisher, arrived)) for _ in range(PREFETCH)]
        try:
            await self._subscribe(channel, arrived, ended)
            await first(ended, *hands)
            for hand in hands:
                if hand.done():
                    hand.result()
            raise ended.result()
        finally:
            for hand in hands:
                hand.cancel()
            await asyncio.gather(*hands, return_exceptions=True)
            if channel.is_open:
                channel.close()
            publisher.close()

    async def _subscribe(
        self, channel: Channel, arrived: asyncio.Queue[tuple[int, Taken]], ended: asyncio.Future[NotifierError]
    ) -> None:
        def end(reason: NotifierError) -> None:
            if not ended.done():
                ended.set_result(reason)

        def on_message(_: Channel, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
            taken = Taken(method.routing_key, body, properties.headers or {}, properties.content_type or "")
            arrived.put_nowait((method.delivery_tag, taken))

        where, loop = self._connection.where, asyncio.get_running_loop()
        channel.add_on_close_callback(lambda _, reason: end(translated(reason, where)))
        channel.add_on_cancel_callback(lambda _: end(BrokerUnavailable(f"queue {DEAD_LETTERS} was deleted or moved")))
        limited: asyncio.Future[Any] = loop.create_future()
        await self._connection.call(
            limited, lambda: channel.basic_qos(prefetch_count=PREFETCH, callback=limited.set_result)
        )
        subscribed: asyncio.Future[Any] = loop.create_future()
        channel.basic_consume(DEAD_LETTERS, on_message, callback=subscribed.set_result)
        # A queue that is not there closes the channel instead of answering.
        await first(subscribed, ended)

    async def _settle_all(
        self, channel: Channel, publisher: SteadyPublisher, arrived: asyncio.Queue[tuple[int, Taken]]
    ) -> None:
        while True:
            tag, taken = await arrived.get()
            await self._settle(taken, publisher)
            try:
                channel.basic_ack(tag)
            except AMQPError as error:
                raise translated(error, self._connection.where) from error

    async def _settle(self, taken: Taken, publisher: SteadyPublisher) -> None:
        again = True
        while again:
            examined = await self._outage_retry.insist(lambda: self._examining.examine(taken))
            for parks in examined.parks:
                await self._outage_retry.insist(lambda p=parks: _publish(publisher, p))  # type: ignore[misc]
                await self._outage_retry.insist(lambda p=parks: self._examining.index(p))  # type: ignore[misc]
            again = examined.again_in > 0
            await asyncio.sleep(examined.again_in)


async def _publish(publisher: SteadyPublisher, parks: ParkedBatch | ParkedEvent) -> None:
    for rejected in await publish_all(publisher, [parked_message(parks)]):
        raise rejected.error


def _on_wait(reason: str | None) -> None:
    if reason is not None:
        logs.wide(log, "dead_letters.waits", level=WARNING, reason=reason)
