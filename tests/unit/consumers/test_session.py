"""One connection's life: nothing is acknowledged that is not planned, confirmed and noted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker

from consumers import outage
from consumers.group import Group, Received
from consumers.pressure import Pressure
from consumers.publisher import Outgoing
from consumers.session import GROUP, Pace, Session
from notifier.domain.topology import INTAKE_QUEUE, URGENT_QUEUE
from notifier.errors import BrokerUnavailable, StorageUnavailable
from tests.unit.consumers.broker_double import Channel, Connection, turns


@dataclass
class Intake:
    """Makes one message of each event; remembers its steps, and fails at one of them as often as a test says."""

    pressure: Pressure = field(default_factory=Pressure)
    steps: list[str] = field(default_factory=list)
    groups: list[list[int]] = field(default_factory=list)
    fails: dict[str, list[Exception]] = field(default_factory=dict)
    oversized: bool = False
    held: asyncio.Event | None = None

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if left := self.fails.get(name):
            raise left.pop()

    async def plan(self, messages: Sequence[Received]) -> Group:
        self._step("plan")
        self.groups.append([one.tag for one in messages])
        group = Group(messages)
        if self.oversized:
            group.oversized = list(messages)
        return group

    def chunks(self, fanout: Any) -> Any:
        raise AssertionError("no fan-out here")

    async def register(self, group: Group) -> list[Outgoing]:
        self._step("register")
        if self.held is not None:
            await self.held.wait()
        return [
            Outgoing("tasks", "email-normal", b"task", pika.BasicProperties(message_id=str(one.tag)))
            for one in group.messages
        ]

    async def finish(self, group: Group) -> None:
        self._step("finish")


@dataclass
class Bench:
    """A running session, and the channels at which a test is the broker."""

    session: Session
    intake: Intake
    connection: Any
    stop: asyncio.Event
    running: asyncio.Task[None]
    waits: list[str | None]
    restored: list[int]

    @property
    def publishing(self) -> Channel:
        return self.connection.channels[0]  # type: ignore[no-any-return]

    @property
    def reading(self) -> Channel:
        return self.connection.channels[1]  # type: ignore[no-any-return]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await turns(1)


@asynccontextmanager
async def running(intake: Intake | None = None, pace: Pace | None = None) -> AsyncIterator[Bench]:
    intake = intake or Intake()
    connection: Any = Connection()
    waits: list[str | None] = []
    restored: list[int] = []

    async def restore() -> None:
        restored.append(1)

    async def tell(_: Any) -> None:
        pass

    as_intake: Any = intake
    session = Session(
        connection,
        as_intake,
        pace or Pace(),
        restore=restore,
        on_begun=lambda: None,
        on_wait=waits.append,
        tell_full=tell,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(session.run(stop, 30.0))
    await turns(50)
    yield Bench(session, intake, connection, stop, task, waits, restored)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage.Backoff, "seconds", lambda _: 0.0)


def test_an_event_is_planned_registered_published_noted_and_then_acknowledged() -> None:
    async def main() -> None:
        async with running() as bench:
            bench.publishing.confirms = False
            bench.reading.deliver(INTAKE_QUEUE, 1, b"event")
            await bench.until(lambda: bench.publishing.published)
            assert (bench.intake.steps, bench.reading.settled) == (["plan", "register"], [])

            bench.publishing.confirm(1)
            await bench.until(lambda: bench.reading.settled)
            assert bench.intake.steps == ["plan", "register", "finish"]
            assert bench.reading.settled == [("ack up to", 1)]

    asyncio.run(main())


def test_what_waits_together_is_one_group_and_no_larger_than_one_may_be() -> None:
    async def main() -> None:
        async with running() as bench:
            for tag in range(1, GROUP + 51):
                bench.reading.deliver(INTAKE_QUEUE, tag, b"event")
            await bench.until(lambda: len(bench.publishing.published) == GROUP + 50)
            assert [len(group) for group in bench.intake.groups] == [GROUP, 50]

    asyncio.run(main())


def test_an_urgent_event_waits_for_no_slot_of_the_others() -> None:
    async def main() -> None:
        intake = Intake(held=asyncio.Event())
        async with running(intake) as bench:
            # Given as many groups as may be worked on, all of which are held
            for tag in range(1, 10):
                bench.reading.deliver(INTAKE_QUEUE, tag, b"event")
                await turns(50)
                await asyncio.sleep(0.01)
            begun = len(intake.groups)

            bench.reading.deliver(URGENT_QUEUE, 99, b"urgent")
            await bench.until(lambda: len(intake.groups) > begun)

            assert intake.groups[-1] == [99]

    asyncio.run(main())


@pytest.mark.parametrize("step", ["plan", "register", "finish"])
def test_while_redis_is_away_a_step_is_done_again_and_nothing_is_published_twice(step: str) -> None:
    async def main() -> None:
        intake = Intake(fails={step: [StorageUnavailable("away")] * 3})
        async with running(intake) as bench:
            bench.reading.deliver(INTAKE_QUEUE, 1, b"event")
            await bench.until(lambda: bench.reading.settled)

            assert intake.steps.count(step) == 4
            assert len(bench.publishing.published) == 1
            assert (bench.waits[0], bench.waits[-1]) == ("away", None)

    asyncio.run(main())


def test_what_the_broker_refused_is_published_again_and_the_rest_is_not() -> None:
    async def main() -> None:
        async with running() as bench:
            bench.publishing.confirms = False
            for tag in (1, 2):
                bench.reading.deliver(INTAKE_QUEUE, tag, b"event")
            await bench.until(lambda: len(bench.publishing.published) == 2)
            bench.publishing.refuse(1)
            bench.publishing.confirm(2)
            await bench.until(lambda: len(bench.publishing.published) == 3)
            bench.publishing.confirm(3)
            await bench.until(lambda: bench.reading.settled)

            ids = [properties.message_id for *_, properties in bench.publishing.published]
            assert ids == ["1", "2", "1"]
            assert bench.restored == []

    asyncio.run(main())


def test_when_there_is_no_queue_the_topology_is_declared_again() -> None:
    async def main() -> None:
        async with running() as bench:
            bench.publishing.confirms = False
            bench.reading.deliver(INTAKE_QUEUE, 1, b"event")
            await bench.until(lambda: bench.publishing.published)
            bench.publishing.give_back(0)
            bench.publishing.confirm(1)
            await bench.until(lambda: len(bench.publishing.published) == 2)
            assert bench.restored == [1]

    asyncio.run(main())


def test_what_is_too_large_to_copy_is_rejected_for_the_broker_to_move() -> None:
    async def main() -> None:
        async with running(Intake(oversized=True)) as bench:
            bench.reading.deliver(INTAKE_QUEUE, 1, b"event")
            await bench.until(lambda: bench.reading.settled)
            assert bench.reading.settled == [("reject", 1)]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "says"),
    [(RuntimeError("a bug"), "given up after RuntimeError"), (BrokerUnavailable("gone"), "gone")],
)
def test_a_group_that_fails_ends_the_session_with_nothing_acknowledged(error: Exception, says: str) -> None:
    async def main() -> None:
        async with running(Intake(fails={"register": [error]})) as bench:
            bench.reading.deliver(INTAKE_QUEUE, 1, b"event")
            with pytest.raises(BrokerUnavailable, match=says):
                await asyncio.wait_for(bench.running, 30)
            assert bench.reading.settled == []

    asyncio.run(main())


def test_a_channel_that_ends_ends_the_session_with_the_reason() -> None:
    async def main() -> None:
        async with running() as bench:
            bench.reading.break_off(ChannelClosedByBroker(406, "PRECONDITION_FAILED"))
            with pytest.raises(BrokerUnavailable, match="406"):
                await asyncio.wait_for(bench.running, 30)

    asyncio.run(main())


def test_who_stops_while_it_begins_to_read_knows_every_queue_that_it_reads() -> None:
    # Once a waiting queue whose answer had not come was read on from, by a session that had to end.
    async def main() -> None:
        async with running() as bench:
            bench.stop.set()
            await asyncio.wait_for(bench.running, 30)
            assert bench.reading.consumers == {}

    asyncio.run(main())


def test_who_stops_takes_nothing_new_and_finishes_what_is_here() -> None:
    async def main() -> None:
        intake = Intake(held=asyncio.Event())
        async with running(intake) as bench:
            bench.reading.deliver(INTAKE_QUEUE, 1, b"event")
            await bench.until(lambda: "register" in intake.steps)

            bench.stop.set()
            await bench.until(lambda: not bench.reading.consumers)
            assert not bench.running.done()
            assert intake.held is not None
            intake.held.set()
            await asyncio.wait_for(bench.running, 30)

            assert bench.reading.settled == [("ack up to", 1)]

    asyncio.run(main())
