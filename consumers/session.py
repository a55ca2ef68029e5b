"""`Session`: one connection's life. Messages are gathered into groups, planned, published, confirmed, acknowledged.

Nothing is acknowledged that is not planned and confirmed. What is unacknowledged when the connection ends comes back
from the broker, and the ledger and the workers' claims see to it that nobody hears of it twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import pika
from pika.channel import Channel
from pika.exceptions import AMQPError

from consumers.acknowledging import Acknowledgements
from consumers.connection import BrokerConnection, first, translated
from consumers.depth_monitor import DepthMonitor, Tell
from consumers.group import Fanout, Group, Received, report
from consumers.intake import Intake
from consumers.outage import OutageRetry
from consumers.publisher import Outgoing, Unroutable, publish_all
from consumers.steady import SteadyPublisher
from notifier import logs, metrics
from notifier.domain.topology import INTAKE_QUEUE, URGENT_QUEUE
from notifier.errors import BrokerUnavailable, NotifierError

log = logs.get("intake")
T = TypeVar("T")

#: Messages in one group. More gains nothing: two full tasks already amortise every round trip.
GROUP = 100
#: Groups worked on at once: one computes while others wait for Redis or for confirms.
GROUPS_IN_FLIGHT = 4
#: Fan-outs worked on at once; each holds a few thousand deliveries in memory.
FANOUTS_IN_FLIGHT = 2
#: Seconds a group waits for Redis or a full queue before the connection is given up and everything returns to the
#: broker. Well below RabbitMQ's consumer_timeout (30 min), and long, because every return counts towards the limit of
#: 20 after which the broker parks a message.
OUTAGE_LIMIT_S = 600.0
#: Seconds for reaching the queues, where there are other nodes; doubled each time. A channel that asked for a
#: queue whose leader has just frozen may be answered only when Erlang has given up connecting to it, after seven more.
SUBSCRIBE_S = 2.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is taken in at once."""

    prefetch: int = 500
    linger: float = 0.004
    """Seconds a message waits for company while other groups are in flight; an idle session never waits."""
    outage_limit: float = OUTAGE_LIMIT_S


@dataclass(slots=True)
class _Line:
    """A queue that is read, what has come of it and has not been worked on, and how much of it may be at once.

    Urgent events have a line of their own: they wait for no company and for no slot of the others.
    """

    queue: str
    linger: float
    waiting: deque[Received] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    groups: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(GROUPS_IN_FLIGHT))
    consumer_tag: str = ""


class Session:
    """Runs until the connection, Redis or the owner ends it.

    ``restore`` declares the topology again when it went missing. ``on_begun`` hears that the queues are read.
    ``on_wait`` hears why messages wait, and None when none does any more. ``tell_full`` tells the other
    processes which work queues are full. ``begins_within`` are the seconds after which another node is asked for them.
    """

    def __init__(
        self,
        connection: BrokerConnection,
        intake: Intake,
        pace: Pace,
        *,
        restore: Callable[[], Awaitable[Any]],
        on_begun: Callable[[], None],
        on_wait: Callable[[str | None], None],
        tell_full: Tell,
        begins_within: float | None = None,
    ) -> None:
        self._connection = connection
        self._begins_within = begins_within
        self._intake = intake
        self._pace = pace
        self._restore = restore
        self._on_begun = on_begun
        self._tell_full = tell_full
        self._outage_retry = OutageRetry(pace.outage_limit, on_wait)
        self._loop = asyncio.get_running_loop()
        self._channel: Channel
        self._publisher: SteadyPublisher
        self._depth_monitor: DepthMonitor
        self._watching: asyncio.Task[None]
        self._unacknowledged = Acknowledgements()
        self._line = _Line(INTAKE_QUEUE, pace.linger)
        self._urgent = _Line(URGENT_QUEUE, 0.0)
        self._fanouts = asyncio.Semaphore(FANOUTS_IN_FLIGHT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[NotifierError] = self._loop.create_future()

    async def run(self, stop: asyncio.Event, grace: float) -> None:
        """Take in events until ``stop``; then finish what was taken within ``grace`` seconds.

        Raises `Unavailable` or `PublishRejected` when it had to end before; nothing is lost then.
        """
        await self._begin()
        self._on_begun()
        self._watching = asyncio.create_task(self._watch())
        self._watching.add_done_callback(self._on_done)
        gathering = asyncio.create_task(self._gather_all())
        stopping = asyncio.create_task(stop.wait())
        try:
            await first(stopping, gathering, self._ended)
            if gathering.done():
                gathering.result()
            if stopping.done() and not self._ended.done():
                await self._drain(grace)
        finally:
            stopping.cancel()
            await _cancelled([gathering, self._watching, *self._tasks])
            self._publisher.close()
            metrics.INTAKE_IN_FLIGHT.set(0)
        if self._ended.done():
            raise self._ended.result()

    async def _begin(self) -> None:
        try:
            async with asyncio.timeout(self._begins_within):
                await self._subscribe()
        except TimeoutError:
            # Without a goodbye: it would be answered after the same seconds.
            self._connection.hang_up(f"it has not given us its queues in {self._begins_within:.0f} s")
            raise (await self._connection.lost) from None

    async def _subscribe(self) -> None:
        connection = self._connection
        self._publisher = await SteadyPublisher.open(connection)
        self._channel = channel = await connection.channel()
        connection.lost.add_done_callback(lambda lost: self._end(lost.result()))
        channel.add_on_close_callback(lambda _, reason: self._end(translated(reason, connection.where)))
        channel.add_on_cancel_callback(
            lambda _: self._end(
                BrokerUnavailable(
                    f"RabbitMQ cancelled a consumer of ours: {INTAKE_QUEUE} or {URGENT_QUEUE} was deleted or moved"
                )
            )
        )
        await self._ask(lambda done: channel.basic_qos(prefetch_count=self._pace.prefetch, callback=done))
        for line in (self._urgent, self._line):
            subscribed = await self._ask(partial(self._consume, line))
            line.consumer_tag = subscribed.method.consumer_tag
        self._depth_monitor = DepthMonitor(
            self._intake.pressure,
            self._ask,
            self._tell_full,
            reading=channel,
            on_message=partial(self._on_message, self._line),
        )

    async def _watch(self) -> None:
        looking = await self._connection.channel()
        looking.add_on_close_callback(lambda _, reason: self._end(translated(reason, self._connection.where)))
        await self._depth_monitor.run(looking)

    async def _ask(self, ask: Callable[[Callable[[Any], None]], Any]) -> Any:
        """Ask the broker something that takes a callback; what the callback got."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        return await self._or_end(self._connection.call(answer, lambda: ask(answer.set_result)))

    async def _or_end(self, answer: Awaitable[T]) -> T:
        """The broker answers some requests by closing the channel."""
        asking = asyncio.ensure_future(answer)
        try:
            await first(asking, self._ended)
        finally:
            if not asking.done():
                asking.cancel()
        if asking.done():
            return asking.result()
        raise self._ended.result()

    def _end(self, reason: NotifierError) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    def _consume(self, line: _Line, done: Callable[[Any], None]) -> None:
        self._channel.basic_consume(line.queue, partial(self._on_message, line), callback=done)

    def _on_message(self, line: _Line, _: Channel, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        tag: int = method.delivery_tag
        self._unacknowledged.add(tag)
        line.waiting.append(Received(tag, properties, body, self._loop.time()))
        line.arrived.set()

    async def _gather_all(self) -> None:
        async with asyncio.TaskGroup() as gathering:
            for line in (self._urgent, self._line):
                gathering.create_task(self._gather(line))

    async def _gather(self, line: _Line) -> None:
        """Cut what is waiting into groups: at once when nothing is in flight, else after a few milliseconds."""
        while True:
            await line.arrived.wait()
            if line.linger and self._tasks and len(line.waiting) < GROUP:
                await asyncio.sleep(line.linger)
            await line.groups.acquire()
            messages = [line.waiting.popleft() for _ in range(min(GROUP, len(line.waiting)))]
            if not line.waiting:
                line.arrived.clear()
            metrics.INTAKE_IN_FLIGHT.set(len(self._unacknowledged))
            self._start(self._run_group(messages, line))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, NotifierError):
            self._end(error)
        elif error is not None:
            # Our own mistake: the messages return to the broker, whose delivery limit parks them if it stays.
            log.error("a group of events failed", exc_info=error)
            self._end(BrokerUnavailable(f"the session was given up after {type(error).__name__}: {error}"))

    async def _run_group(self, messages: Sequence[Received], line: _Line) -> None:
        try:
            group = await self._outage_retry.insist(lambda: self._intake.plan(messages))
            await self._carry_out(group)
        finally:
            line.groups.release()
        for fanout in group.fanouts:
            self._start(self._run_fanout(fanout))

    async def _run_fanout(self, fanout: Fanout) -> None:
        async with self._fanouts:
            for group in self._intake.chunks(fanout):
                await self._carry_out(group)

    async def _carry_out(self, group: Group) -> None:
        outgoing = await self._outage_retry.insist(lambda: self._intake.register(group))
        await self._outage_retry.insist(lambda: self._publish(outgoing))
        await self._outage_retry.insist(lambda: self._intake.finish(group))
        self._settle(group)
        report(group, self._loop.time())

    async def _publish(self, outgoing: list[Outgoing]) -> None:
        """Publish and leave in the list what the broker refused, so that the next try publishes nothing twice."""
        rejected = await publish_all(self._publisher, outgoing)
        outgoing[:] = [refused.message for refused in rejected]
        if any(isinstance(refused.error, Unroutable) for refused in rejected):
            await self._restore()
        if rejected:
            raise rejected[0].error

    def _settle(self, group: Group) -> None:
        try:
            for tag, multiple in self._unacknowledged.settle(group.settled):
                self._channel.basic_ack(tag, multiple)
            for received in group.oversized:
                list(self._unacknowledged.settle([received.tag]))
                self._channel.basic_reject(received.tag, requeue=False)
        except AMQPError as error:
            raise translated(error, self._connection.where) from error

    async def _drain(self, grace: float) -> None:
        """No more deliveries; finish those that are here, but do not wait for what is away.

        Whoever waits because of Redis or a full queue ends the session at once, and with it the channel:
        they return to the broker, and what was published of them is known by the ledger and the claims.
        """
        self._outage_retry.end()
        await _cancelled([self._watching])
        try:
            async with asyncio.timeout(grace):
                for line in (self._urgent, self._line):
                    await self._ask(partial(self._channel.basic_cancel, line.consumer_tag))
                await self._depth_monitor.stop_reading()
                while (self._line.waiting or self._urgent.waiting or self._tasks) and not self._ended.done():
                    await first(*self._tasks, self._ended, asyncio.ensure_future(asyncio.sleep(self._pace.linger)))
        except TimeoutError:
            logs.wide(log, "intake.cut_off", unacknowledged=len(self._unacknowledged), grace=grace)


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
