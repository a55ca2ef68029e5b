"""Which waiting queues are read: those whose work queues have room."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from consumers import depth_monitor
from consumers.depth_monitor import PREFETCH, DepthMonitor
from consumers.pressure import Pressure
from notifier.domain.topology import WAITING_QUEUES
from notifier.errors import StorageUnavailable
from tests.unit.consumers.broker_double import Channel

FULL = "email-low"
#: The one whose events wait for that queue.
WAITING = next(waiting for waiting, work in WAITING_QUEUES.items() if FULL in work)


class Bench:
    """A monitor on two channels, whose looks a test makes."""

    def __init__(self, depth: int = 10) -> None:
        self.reading, self.looking = Channel(0), Channel(1)
        self.told: list[Mapping[str, int]] = []
        self.error: Exception | None = None
        self.pressure = Pressure(depth)
        reading: Any = self.reading
        self.monitor = DepthMonitor(self.pressure, self.ask, self.tell, reading=reading, on_message=lambda *_: None)

    async def ask(self, ask: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ask(answer.set_result)
        return await answer

    async def tell(self, full: Mapping[str, int]) -> None:
        if self.error is not None:
            raise self.error
        self.told.append(dict(full))

    def looks(self, monkeypatch: pytest.MonkeyPatch, *depths: int) -> None:
        """Run for so many looks, with so many tasks in the queue at each."""
        left = list(depths[1:])

        async def pause(_: float) -> None:
            if not left:
                raise asyncio.CancelledError
            self.looking.depths[FULL] = left.pop(0)
            self.pressure.use(FULL)

        self.looking.depths[FULL] = depths[0]
        with monkeypatch.context() as patched:
            patched.setattr(depth_monitor.asyncio, "sleep", pause)  # type: ignore[attr-defined]
            looking: Any = self.looking
            with pytest.raises(asyncio.CancelledError):
                asyncio.run(self.monitor.run(looking))


def test_every_waiting_queue_is_read_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    bench.looks(monkeypatch, 9)

    assert bench.reading.consumers.keys() == WAITING_QUEUES.keys()
    assert (bench.reading.prefetch, bench.told) == (PREFETCH, [])


def test_one_whose_work_queue_is_full_is_not_read_until_there_is_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    bench.looks(monkeypatch, 0, 10)
    assert bench.reading.consumers.keys() == WAITING_QUEUES.keys() - {WAITING}
    assert bench.told == [{FULL: 10}]

    # Just below the limit is not yet room
    bench.looks(monkeypatch, 9)
    assert WAITING not in bench.reading.consumers
    bench.looks(monkeypatch, 7)
    assert WAITING in bench.reading.consumers


def test_without_redis_it_goes_on_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.error = StorageUnavailable("away")

    bench.looks(monkeypatch, 10, 10, 0)

    assert WAITING in bench.reading.consumers


def test_without_limits_it_looks_at_nothing_and_reads_all() -> None:
    bench = Bench(depth=0)
    looking: Any = bench.looking

    asyncio.run(bench.monitor.run(looking))

    assert (bench.looking.asked, bench.reading.consumers.keys()) == ([], WAITING_QUEUES.keys())


def test_a_session_that_ends_takes_nothing_more_from_them() -> None:
    async def main() -> dict[str, Any]:
        bench = Bench(depth=0)
        looking: Any = bench.looking
        await bench.monitor.run(looking)
        await bench.monitor.stop_reading()
        return bench.reading.consumers

    assert asyncio.run(main()) == {}
