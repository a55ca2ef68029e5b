"""What the consumer does when its session waits and goes on."""

import gc
import weakref
from collections.abc import Iterator
from typing import cast

import pytest

from consumers.consumer import Consumer
from consumers.intake import Intake


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
