"""A server that stops, forgets its scripts, freezes or is full."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.errors import StorageUnavailable
from notifier.storage import claims
from notifier.storage.commands import command
from notifier.storage.connection import check, connect, connect_async
from notifier.storage.ledger import AsyncLedger, Claimed, Ledger
from notifier.storage.store import Store
from tests.integration.storage.making import claim, event, registration, request
from tests.servers.redis import RedisServer


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of its own, for tests that change its configuration."""
    server = RedisServer(tmp_path)
    yield server
    server.close()


def test_scripts_the_server_forgot_are_loaded_and_only_failed_calls_repeated(ledger: Ledger, store: Store) -> None:
    # Given a server that ran our scripts and forgot them
    ledger.register([registration(i) for i in range(1, 5)])
    requests = [request(event(i), to="p0@example.org") for i in range(1, 5)]
    claim(ledger, requests[0])
    store.client.script_flush()
    before = store.round_trips
    # When a batch is claimed
    answers = ledger.claim(requests[1:], owner="worker-1", lease=90)
    # Then it took one more round trip, and every claim happened once
    assert [type(a) for a in answers] == [Claimed] * 3
    assert [a.fence for a in answers if isinstance(a, Claimed)] == [1, 1, 1]
    assert store.round_trips - before == 2


def test_a_restarted_server_is_used_without_an_error(ledger: Ledger, redis_server: RedisServer) -> None:
    # Given a claim, over a connection that is kept
    held = claim(ledger, request())
    # When the server restarts: connections are broken, scripts are gone, data is kept
    redis_server.restart()
    # Then the claim still stands
    assert ledger.mark_leaving([(request().delivery.id, held.fence)]) == [True]


def test_asyncio_survives_a_restart_as_well(redis_url: str, redis_server: RedisServer) -> None:
    async def scenario() -> list[bool]:
        store = connect_async(redis_url)
        ledger = AsyncLedger(store)
        await ledger.register([registration()])
        await ledger.planned([event().key])
        redis_server.restart()
        answers = await ledger.register([registration()])
        await store.close()
        return [a.known for a in answers]

    assert asyncio.run(scenario()) == [True]


def test_a_stopped_server_is_unavailable(ledger: Ledger, redis_url: str, redis_server: RedisServer) -> None:
    # Given a server that is down
    redis_server.stop()
    try:
        # Then both executors say so, in our words
        with pytest.raises(StorageUnavailable, match="Redis cannot be reached"):
            ledger.claim([request()], owner="worker-1", lease=90)

        async def ask() -> None:
            await AsyncLedger(connect_async(redis_url)).register([registration()])

        with pytest.raises(StorageUnavailable, match="Redis cannot be reached"):
            asyncio.run(ask())
    finally:
        redis_server.start()


def test_a_frozen_server_is_unavailable_after_the_timeout(
    redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a server that answers nothing
    monkeypatch.setattr("notifier.storage.connection.SOCKET_TIMEOUT_S", 0.2)
    store = connect(redis_url)
    redis_server.pause()
    try:
        with pytest.raises(StorageUnavailable, match="did not answer in time"):
            Ledger(store).claim([request()], owner="worker-1", lease=90)
    finally:
        redis_server.resume()
        store.close()


def test_a_full_server_is_unavailable_and_nothing_was_claimed(own_server: RedisServer) -> None:
    # Given a server out of memory
    store = connect(own_server.url)
    ledger = Ledger(store)
    store.client.config_set("maxmemory", 1)
    # Then a claim fails closed
    with pytest.raises(StorageUnavailable, match="out of memory"):
        ledger.claim([request()], owner="worker-1", lease=90)
    # And works when there is memory again
    store.client.config_set("maxmemory", 0)
    assert isinstance(ledger.claim([request()], owner="worker-1", lease=90)[0], Claimed)
    store.close()


def test_a_replica_is_unavailable_for_writing(own_server: RedisServer, redis_server: RedisServer) -> None:
    # Given a URL that names a replica
    store = connect(own_server.url)
    store.client.replicaof("127.0.0.1", redis_server.port)
    # Then the error says what to change
    with pytest.raises(StorageUnavailable, match=r"read-only replica|lost its primary|loading"):
        Ledger(store).heartbeat("worker-1", 5)
    store.close()


def test_a_wrong_password_is_named(own_server: RedisServer) -> None:
    store = connect(own_server.url)
    store.client.config_set("requirepass", "secret")
    with pytest.raises(StorageUnavailable, match="refused our login"):
        Ledger(connect(own_server.url.replace("://", "://:wrong@"))).heartbeat("worker-1", 5)
    store.close()


def test_more_threads_than_connections_wait_and_then_say_so(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given one connection that is in use
    monkeypatch.setattr("notifier.storage.store.SLOT_TIMEOUT_S", 0.01)
    store = connect(redis_url, connections=1)
    refused: list[str] = []

    def ask_too() -> None:
        with pytest.raises(StorageUnavailable, match="all our connections") as error:
            Ledger(store).heartbeat("worker-1", 5)
        refused.append(str(error.value))

    store.run(claims.heartbeat("worker-2", 5), ask_too)
    assert len(refused) == 1
    # When it is free again it is used
    Ledger(store).heartbeat("worker-1", 5)
    store.close()


@pytest.mark.usefixtures("redis_server")
def test_a_mistake_of_ours_says_what_was_running(store: Store) -> None:
    # Given a key of another type
    store.client.lpush("ntf:d:wrong", "x")
    # Then the error is not taken for an outage
    with pytest.raises(Exception, match="WRONGTYPE") as caught:
        Ledger(store).deliveries(["dlv_wrong"])
    assert not isinstance(caught.value, StorageUnavailable)
    assert caught.value.__notes__ == ["while running GET"]


def test_large_operations_are_sent_in_parts(store: Store) -> None:
    def many() -> object:
        replies = yield [command("ECHO", str(i)) for i in range(2500)]
        return replies

    before = store.round_trips
    assert store.run(many()) == [str(i) for i in range(2500)]  # type: ignore[arg-type]
    assert store.round_trips - before == 3


def test_a_safe_server_passes_the_check(store: Store) -> None:
    found = check(store)
    assert (found.problems, found.warnings) == ((), ())
    assert found.version.split(" ")[0] in ("redis", "valkey")


def test_a_server_that_would_lose_data_is_refused_with_what_to_set(own_server: RedisServer) -> None:
    # Given the defaults of a cache
    store = connect(own_server.url)
    store.client.config_set("maxmemory-policy", "volatile-lru")
    store.client.config_set("appendonly", "no")
    # Then both mistakes are named with their cure
    assert [problem.fix for problem in check(store).problems] == [
        "give us our own server and set maxmemory-policy noeviction",
        "set appendonly yes and appendfsync everysec",
    ]
    store.close()


def test_a_server_that_hides_its_configuration_is_warned_about(own_server: RedisServer) -> None:
    # Given a user who may not read the configuration
    store = connect(own_server.url)
    store.client.execute_command("ACL SETUSER app on >secret-of-app ~* +@all -config")  # type: ignore[no-untyped-call]
    limited = connect(own_server.url.replace("://", "://app:secret-of-app@"))
    # Then the check passes with a warning
    found = check(limited)
    assert found.problems == ()
    assert [problem.what for problem in found.warnings] == [
        "the server does not let us read its configuration (CONFIG)"
    ]
    limited.close()
    store.close()
