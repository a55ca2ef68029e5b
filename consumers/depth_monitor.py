"""`DepthMonitor`: looks once a second how deep the work queues are, and takes back what was put aside.

A passive declare answers from the queue itself in about 0.2 ms; the broker's own statistics are up to five seconds old.
It asks for the queues that are used, and for some of the others each time: asking for all of them was most of what an
idle consumer did.
A waiting queue is read while the work queues it waits for have room: its events come back by themselves, and a work
queue that stays full delays nobody but its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pika.channel import Channel

from consumers.pressure import Pressure
from notifier import metrics
from notifier.domain.topology import WAITING_QUEUES
from notifier.errors import StorageUnavailable

#: Seconds between two looks: a busy consumer adds 10,000 tasks to a queue meanwhile, at the worst.
LOOK_EVERY_S = 1.0
#: Events of one waiting queue that are held unacknowledged: a backlog must not take the whole prefetch.
PREFETCH = 100

#: Asks the broker something that takes a callback, and gives what the callback got.
Ask = Callable[[Callable[[Callable[[Any], None]], Any]], Awaitable[Any]]
#: Tells the other processes which work queues are full; called with every look while any is.
Tell = Callable[[Mapping[str, int]], Awaitable[None]]


class DepthMonitor:
    """One session's eyes. ``reading`` is the channel on which ``on_message`` gets what waited."""

    def __init__(
        self, pressure: Pressure, ask: Ask, tell: Tell, *, reading: Channel, on_message: Callable[..., None]
    ) -> None:
        self._pressure = pressure
        self._ask = ask
        self._tell = tell
        self._channel = reading
        self._on_message = on_message
        self._tags: dict[str, str] = {}
        """Waiting queue → the tag of our consumer on it."""

    async def run(self, looking: Channel) -> None:
        """For as long as the session lives; without limits, until every waiting queue is read."""
        await self._ask(lambda done: self._channel.basic_qos(prefetch_count=PREFETCH, callback=done))
        while True:
            self._pressure.see({queue: await self._depth(looking, queue) for queue in self._pressure.due()})
            await self._turn()
            if not self._pressure.limits:
                return
            if self._pressure.full:
                await self._say()
            await asyncio.sleep(LOOK_EVERY_S)

    async def stop_reading(self) -> None:
        """Take nothing more from the waiting queues."""
        for waiting in list(self._tags):
            await self._stop(waiting)

    async def _depth(self, looking: Channel, queue: str) -> int:
        answer = await self._ask(lambda done: looking.queue_declare(queue, passive=True, callback=done))
        return int(answer.method.message_count)

    async def _turn(self) -> None:
        """Read the waiting queues whose work queues have room, and no others."""
        for waiting, work_queues in WAITING_QUEUES.items():
            has_room = self._pressure.full.keys().isdisjoint(work_queues)
            if has_room and waiting not in self._tags:
                await self._read(waiting)
            elif not has_room and waiting in self._tags:
                await self._stop(waiting)

    async def _read(self, waiting: str) -> None:
        def consume(done: Callable[[Any], None]) -> None:
            # Known at once: a session that stops meanwhile would read on from a queue that it does not know of.
            self._tags[waiting] = self._channel.basic_consume(waiting, self._on_message, callback=done)

        await self._ask(consume)

    async def _stop(self, waiting: str) -> None:
        tag = self._tags.pop(waiting)
        await self._ask(lambda done: self._channel.basic_cancel(tag, callback=done))

    async def _say(self) -> None:
        try:
            await self._tell(self._pressure.full)
        except StorageUnavailable:
            # What was told lasts a few seconds and the next look tells again; without Redis nothing is taken in.
            metrics.REDIS_RECONNECTS.inc()
