"""A dead letter is acknowledged when its parks are confirmed and indexed, and not before."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from consumers import outage
from consumers.dead_letters import PREFETCH, DeadLetterIntake, Examining, Taken
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent
from notifier.domain.topology import DEAD_LETTERS
from notifier.errors import BrokerUnavailable, StorageUnavailable
from tests.unit.consumers.broker_double import Channel, Connection, turns


@dataclass
class Examined:
    parks: tuple[ParkedBatch | ParkedEvent, ...] = ()
    again_in: float = 0.0


@dataclass
class Examiner:
    """Parks each letter once; fails first, as often as a test says."""

    again: list[float] = field(default_factory=list)
    examine_fails: int = 0
    index_fails: int = 0
    indexed: list[str] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)

    async def examine(self, taken: Taken) -> Examined:
        if self.examine_fails:
            self.examine_fails -= 1
            raise StorageUnavailable("away")
        self.taken.append(taken)
        if self.again:
            return Examined((), self.again.pop())
        entry = Parked(taken.body.decode(), "failed-intake", Cause.POISON, "no", 1.0)
        return Examined((ParkedEvent((entry,), taken.body, taken.content_type, taken.headers),))

    async def index(self, parked: ParkedBatch | ParkedEvent) -> None:
        if self.index_fails:
            self.index_fails -= 1
            raise StorageUnavailable("away")
        self.indexed += [one.id for one in parked.parked]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage.Backoff, "seconds", lambda _: 0.0)


async def begun(examiner: Examiner) -> tuple[Any, asyncio.Task[None], Channel, Channel]:
    connection: Any = Connection()

    async def restore() -> None:
        pass

    running = asyncio.create_task(
        DeadLetterIntake(connection, Examining(examiner.examine, examiner.index), restore).run()
    )
    await turns()
    publishing, reading = connection.channels[-2:]
    return connection, running, publishing, reading


async def ended(running: asyncio.Task[None]) -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await turns(1)


def test_a_letter_is_parked_indexed_and_then_acknowledged() -> None:
    async def main() -> None:
        examiner = Examiner()
        _, running, publishing, reading = await begun(examiner)
        publishing.confirms = False

        reading.deliver(DEAD_LETTERS, 7, b"letter", content_type="text/plain", headers={"x": 1})
        await until(lambda: publishing.published)
        assert (reading.prefetch, examiner.indexed, reading.settled) == (PREFETCH, [], [])
        assert examiner.taken == [Taken(DEAD_LETTERS, b"letter", {"x": 1}, "text/plain")]

        publishing.confirm(1)
        await until(lambda: reading.settled)
        assert (examiner.indexed, reading.settled) == (["letter"], [("ack", 7)])
        await ended(running)

    asyncio.run(main())


@pytest.mark.parametrize("step", ["examine_fails", "index_fails"])
def test_while_redis_is_away_it_waits_and_publishes_nothing_twice(step: str) -> None:
    async def main() -> None:
        examiner = Examiner(**{step: 3})
        _, running, publishing, reading = await begun(examiner)

        reading.deliver(DEAD_LETTERS, 1, b"letter")
        await until(lambda: reading.settled)

        assert (len(publishing.published), examiner.indexed) == (1, ["letter"])
        await ended(running)

    asyncio.run(main())


def test_a_letter_that_somebody_still_has_is_examined_again() -> None:
    async def main() -> None:
        examiner = Examiner(again=[0.001, 0.001])
        _, running, _, reading = await begun(examiner)

        reading.deliver(DEAD_LETTERS, 1, b"letter")
        await until(lambda: reading.settled)

        assert len(examiner.taken) == 3
        await ended(running)

    asyncio.run(main())


def test_one_letter_that_waits_holds_up_no_other() -> None:
    async def main() -> None:
        examiner = Examiner(again=[60.0])
        _, running, _, reading = await begun(examiner)

        reading.deliver(DEAD_LETTERS, 1, b"waits")
        await turns()
        reading.deliver(DEAD_LETTERS, 2, b"goes")
        await until(lambda: reading.settled)

        assert reading.settled == [("ack", 2)]
        await ended(running)

    asyncio.run(main())


def test_when_its_channel_ends_it_begins_anew_and_with_the_connection_it_ends() -> None:
    async def main() -> None:
        examiner = Examiner()
        connection, running, _, reading = await begun(examiner)

        reading.break_off(BrokerUnavailable("closed"))
        await until(lambda: len(connection.channels) == 4)
        await until(lambda: DEAD_LETTERS in connection.channels[-1].consumers)
        connection.channels[-1].deliver(DEAD_LETTERS, 1, b"letter")
        await until(lambda: connection.channels[-1].settled)

        connection.lost.set_result(BrokerUnavailable("gone"))
        connection.channels[-1].break_off(BrokerUnavailable("gone"))
        await asyncio.wait_for(running, 30)

    asyncio.run(main())
