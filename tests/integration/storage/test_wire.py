"""The asyncio store's own round trips against a real server: shapes, errors in the middle, silence."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest
from redis import exceptions as redis_errors

from notifier.errors import StorageUnavailable
from notifier.storage import wire
from notifier.storage.commands import Call, Operation, command
from notifier.storage.connection import connect, connect_async
from notifier.storage.store import AsyncStore
from tests.servers.redis import RedisServer

T = TypeVar("T")


def with_store(url: str, use: Callable[[AsyncStore], Awaitable[T]]) -> T:
    async def scenario() -> T:
        store = connect_async(url)
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(scenario())


def operation(*calls: Call) -> Operation[list[Any]]:
    return (yield calls)


@pytest.mark.usefixtures("redis_server")
def test_both_stores_show_an_operation_the_same_replies(redis_url: str) -> None:
    # Given one of every kind of reply
    calls = (
        command("HSET", "h", "name", "Zoë", "count", 3),
        command("HGETALL", "h"),
        command("HMGET", "h", "name", "missing"),
        command("SET", "s", "v", "PX", 60_000),
        command("EXISTS", "s"),
        command("PEXPIRE", "s", 90_000),
        command("GET", "missing"),
        command("ZADD", "z", 1, "a", 2, "b"),
        command("ZRANGE", "z", 0, -1),
    )
    # When asyncio asks, and then a thread with the same server
    ours = with_store(redis_url, lambda store: store.run(operation(*calls)))
    threads = connect(redis_url)
    threads.client.flushdb()
    theirs = threads.run(operation(*calls))
    threads.close()
    # Then the replies look alike
    assert ours == theirs
    assert ours[1] == {"name": "Zoë", "count": "3"}


def test_a_command_that_fails_leaves_the_replies_of_the_others_in_their_places(redis_url: str) -> None:
    async def use(store: AsyncStore) -> Sequence[Any]:
        calls = [command("SET", "text", "a"), command("RPUSH", "text", "b"), command("GET", "text")]
        replies = await store._exchanger.exchange(calls)
        # And the connection is in step for the next round trip
        return [*replies, *await store._exchanger.exchange([command("GET", "text")])]

    _, wrong, text, again = with_store(redis_url, use)
    assert isinstance(wrong, redis_errors.ResponseError)
    assert (text, again) == ("a", "a")


def test_a_silent_server_is_unavailable_after_one_deadline_for_all_replies(
    redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a connection to a server that then answers nothing
    monkeypatch.setattr(wire, "REPLIES_TIMEOUT_S", 0.2)

    async def use(store: AsyncStore) -> list[Any]:
        await store.run(operation(command("SET", "a", 1)))
        redis_server.pause()
        try:
            with pytest.raises(StorageUnavailable, match="did not answer in time"):
                await store.run(operation(command("GET", "a"), command("GET", "b")))
        finally:
            redis_server.resume()
        # Then the late replies are nobody's: the next round trip has its own
        return await store.run(operation(command("GET", "b"), command("GET", "a")))

    assert with_store(redis_url, use) == [None, "1"]


def test_threads_get_the_replies_in_their_places_on_a_connection_that_is_used_again(redis_url: str) -> None:
    # Given a store that has used a connection
    store = connect(redis_url)
    exchanger = wire.Exchanger(store.client)
    exchanger.exchange([command("SET", "text", "a")])
    # When a command in the middle fails
    calls = [command("SET", "text", "b"), command("RPUSH", "text", "c"), command("GET", "text")]
    _, wrong, text = exchanger.exchange(calls)
    # Then the others have their replies, and so has the next round trip
    assert isinstance(wrong, redis_errors.ResponseError)
    assert (text, exchanger.exchange([command("GET", "text")])) == ("b", ["b"])
    store.close()


def test_a_kept_connection_that_the_server_closed_is_opened_again(redis_url: str) -> None:
    # Given a store whose connection the server has closed since it was used
    store, other = connect(redis_url), connect(redis_url)
    assert store.reachable() is None
    other.client.client_kill_filter(skipme=True, _type="normal")
    # When it is used again, then it answers
    assert store.reachable() is None
    for each in (store, other):
        each.close()


def test_a_lone_surrogate_is_written_as_any_other_character(redis_url: str) -> None:
    # Given an id that JSON may carry and UTF-8 may not
    store = connect(redis_url)
    half = "id-\ud83d"
    # When it is a key and a value, then it comes back as it was
    assert store.run(operation(command("SET", half, half), command("GET", half)))[1] == half
    store.close()


def test_what_is_done_while_the_server_works_is_done_once_however_often_it_is_asked(redis_url: str) -> None:
    # Given a store whose connection the server has closed since it was used, so that the first try breaks
    store, other = connect(redis_url), connect(redis_url)
    store.run(operation(command("SET", "a", 1)))
    other.client.client_kill_filter(skipme=True, _type="normal")
    done: list[str] = []

    # When something is computed during a round trip
    replies = store.run(operation(command("GET", "a"), command("GET", "b")), lambda: done.append("computed"))

    # Then it is computed once, and the replies are what they are without
    assert (replies, done) == (["1", None], ["computed"])
    for each in (store, other):
        each.close()


def test_an_error_of_what_is_done_meanwhile_leaves_no_reply_for_the_next_round_trip(redis_url: str) -> None:
    def fail() -> None:
        raise ValueError("a bug of ours")

    store = connect(redis_url)
    with pytest.raises(ValueError, match="a bug of ours"):
        store.run(operation(command("SET", "a", 1), command("GET", "a")), fail)
    assert store.run(operation(command("GET", "a"))) == ["1"]
    store.close()


def test_asyncio_does_it_once_too_and_leaves_no_reply_behind(redis_url: str) -> None:
    done: list[str] = []

    async def use(store: AsyncStore) -> list[Any]:
        await store.run(operation(command("SET", "a", 1)), lambda: done.append("computed"))
        with pytest.raises(ZeroDivisionError):
            await store.run(operation(command("SET", "a", 2), command("GET", "b")), lambda: print(1 / 0))
        return await store.run(operation(command("GET", "a")))

    assert (with_store(redis_url, use), done) == (["2"], ["computed"])
