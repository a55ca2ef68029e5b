"""Steps are repeated while what they need is away, everybody hears of it once, and patience has an end."""

import asyncio
from collections.abc import Iterator

import pytest

from consumers.outage import OutageRetry
from notifier.errors import BrokerUnavailable, NotifierError, PublishRejected, StorageUnavailable


async def failing(errors: Iterator[NotifierError]) -> str:
    """A step that fails as long as there are errors left."""
    for error in errors:
        raise error
    return "done"


def test_a_step_that_works_is_done_once_and_nobody_hears_of_it() -> None:
    heard: list[str | None] = []
    patience = OutageRetry(60, heard.append)
    assert asyncio.run(patience.insist(lambda: failing(iter([])))) == "done"
    assert heard == []


def test_a_step_is_repeated_until_it_works() -> None:
    # Given Redis that is away, and then a queue that is full
    heard: list[str | None] = []
    errors = iter([StorageUnavailable("redis is away"), PublishRejected("full")])

    # When a step insists
    assert asyncio.run(OutageRetry(60, heard.append).insist(lambda: failing(errors))) == "done"

    # Then both reasons were told, and the end
    assert heard == ["redis is away", "full", None]


def test_held_ends_with_the_last_group_that_waits() -> None:
    # Given two groups that wait for different times
    heard: list[str | None] = []
    patience = OutageRetry(60, heard.append)
    short, long = iter([StorageUnavailable("a")]), iter([StorageUnavailable("a") for _ in range(3)])

    async def both() -> None:
        await asyncio.gather(patience.insist(lambda: failing(short)), patience.insist(lambda: failing(long)))

    # When both go on, then the end was told once, after the longer one
    asyncio.run(both())
    assert heard.count(None) == 1
    assert heard[-1] is None


def test_patience_ends_with_the_last_error() -> None:
    heard: list[str | None] = []
    with pytest.raises(StorageUnavailable, match="away"):
        asyncio.run(OutageRetry(0, heard.append).insist(lambda: failing(iter([StorageUnavailable("away")]))))
    assert heard == [None]


def test_a_lost_connection_is_not_waited_for() -> None:
    with pytest.raises(BrokerUnavailable):
        asyncio.run(OutageRetry(60, [].append).insist(lambda: failing(iter([BrokerUnavailable("lost")]))))


def test_who_waits_gives_up_at_once_when_patience_is_over() -> None:
    # Given Redis that stays away, and a step that waits for it
    begun = asyncio.Event()
    patience = OutageRetry(3600, lambda _: begun.set())
    away = iter([StorageUnavailable("away") for _ in range(1000)])

    async def stopped() -> None:
        waiting = asyncio.create_task(patience.insist(lambda: failing(away)))
        await begun.wait()
        patience.end()
        await waiting

    # When the process is asked to stop, then the error leaves instead of another wait
    with pytest.raises(StorageUnavailable, match="away"):
        asyncio.run(stopped())
    # And nobody begins to wait any more
    with pytest.raises(StorageUnavailable, match="away"):
        asyncio.run(patience.insist(lambda: failing(away)))
