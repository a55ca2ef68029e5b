"""What the consumer does when its session waits and goes on."""

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator
from typing import cast

import pytest

from consumers.consumer import Consumer
from consumers.intake import Intake
from notifier import metrics
from tests.servers.patience import PATIENCE_S


class Frame:
    """Stands for the frames of an error and the stream that keeps it: they hold each other, and the group's events."""

    def __init__(self) -> None:
        self.stream = self


@pytest.fixture
def no_collector() -> Iterator[None]:
    """As rare as in the process."""
    gc.disable()
    yield
    gc.enable()


async def never() -> None:
    raise AssertionError


@pytest.mark.usefixtures("no_collector")
def test_what_failed_while_redis_was_away_is_freed_when_it_is_back() -> None:
    # Given a session that holds its messages, and what a failed try left behind
    consumer = Consumer("amqp://guest:guest@127.0.0.1:1/", cast(Intake, None), never)
    consumer._on_wait("Redis cannot be reached")
    left = weakref.ref(Frame())
    assert left() is not None

    # When it goes on
    consumer._on_wait(None)

    # Then it is gone
    assert left() is None


def test_a_loop_that_computes_for_long_is_seen_in_its_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a consumer whose loop is looked at every few milliseconds
    monkeypatch.setattr("consumers.consumer._BEAT_S", 0.005)
    consumer = Consumer("amqp://guest:guest@127.0.0.1:1/", cast(Intake, None), never)

    async def work() -> None:
        beating = asyncio.create_task(consumer._keep_beating())
        await asyncio.sleep(0)
        # When a step takes a quarter of a second
        until = time.monotonic() + 0.25
        while time.monotonic() < until:
            pass
        # Then that is how late a timer was
        async with asyncio.timeout(PATIENCE_S):
            while lag_above(0.1) == before:  # noqa: ASYNC110 - a metric wakes nobody
                await asyncio.sleep(0)
        beating.cancel()

    before = lag_above(0.1)
    asyncio.run(work())


def lag_above(seconds: float) -> float:
    """How often the lag was longer."""
    samples = {s.labels["le"]: s.value for m in metrics.LOOP_LAG.collect() for s in m.samples if "le" in s.labels}
    return samples["+Inf"] - samples[str(seconds)]
