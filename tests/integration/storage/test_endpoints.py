"""The registry of webhook endpoints, and what planning sees of it."""

import asyncio
import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from notifier.domain.breaker import Observed
from notifier.domain.endpoint import EndpointState
from notifier.errors import ConfigurationError, NotFound, StorageUnavailable
from notifier.storage import keys
from notifier.storage.breakers import Breakers
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Operation, command
from notifier.storage.connection import connect_async
from notifier.storage.directory import FRESH_S, EndpointDirectory, SyncEndpointDirectory
from notifier.storage.endpoints import MAX_SECRETS, Endpoints
from notifier.storage.store import Store
from tests.integration.storage.making import Clock, raw_dump
from tests.servers.redis import RedisServer

KEY = "k" * 32
URL = "https://shop.example/hooks/token-in-url"
DAY = 86400.0


@pytest.fixture
def endpoints(store: Store, clock: Clock) -> Endpoints:
    return Endpoints(store, Cipher(KEY), clock)


def test_an_added_endpoint_is_read_back(endpoints: Endpoints, clock: Clock) -> None:
    # Given a new endpoint
    added = endpoints.add("acme", URL, event_types=["order.*"], headers=[("X-Shop", "1")], description="ERP")
    # Then all of it is kept, with an id and a Standard Webhooks secret of 32 bytes
    assert endpoints.get(added.id) == added
    assert added.id.startswith("ep_")
    assert len(added.id) == 29
    (secret,) = added.secrets
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert (added.created, added.state) == (clock.now, EndpointState.ENABLED)


def test_nothing_secret_is_readable_in_redis(endpoints: Endpoints, redis_server: RedisServer) -> None:
    # Given an endpoint with a secret, a token in its URL and a secret header
    added = endpoints.add("acme", URL, headers=[("Authorization", "Bearer top-s3cret")])
    # Then a dump of every key shows none of them
    dump = raw_dump(redis_server)
    assert added.id in dump
    for secret in (*added.secrets, added.secrets[0].removeprefix("whsec_"), "token-in-url", "top-s3cret"):
        assert secret not in dump


def test_adding_without_a_key_says_what_to_set(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="NOTIFIER_SECRET_KEY"):
        Endpoints(store, Cipher("")).add("acme", URL)


def test_endpoints_are_listed_by_tenant_or_all_oldest_first(endpoints: Endpoints, clock: Clock) -> None:
    # Given endpoints of two tenants
    made = []
    for tenant in ("b", "a", "b"):
        made.append(endpoints.add(tenant, URL).id)
        clock.now += 1
    # Then they are listed in the order they were added
    assert [e.id for e in endpoints.list()] == made
    assert [e.id for e in endpoints.list("b")] == [made[0], made[2]]
    assert endpoints.list("nobody") == []


def test_many_are_read_in_one_round_trip(endpoints: Endpoints, store: Store) -> None:
    made = [endpoints.add("acme", URL).id for _ in range(3)]
    before = store.round_trips
    assert set(endpoints.get_many([*made, "ep_none"])) == set(made)
    assert endpoints.get_many([]) == {}
    assert store.round_trips - before == 1


def test_state_and_fields_change_and_the_rest_stays(endpoints: Endpoints) -> None:
    # Given an endpoint
    added = endpoints.add("acme", URL)
    # When it is disabled and changed
    endpoints.set_state(added.id, EndpointState.DISABLED, "answered 410")
    changed = endpoints.update(added.id, url="https://new.example/", event_types=["a", "b"], description="new")
    # Then everything else is as it was
    assert endpoints.get(added.id) == changed
    assert (changed.url, changed.event_types, changed.description) == ("https://new.example/", ("a", "b"), "new")
    assert (changed.state, changed.reason, changed.secrets) == (EndpointState.DISABLED, "answered 410", added.secrets)


def test_what_a_worker_switches_off_is_marked_until_a_person_decides(endpoints: Endpoints) -> None:
    # Given an endpoint that a worker switched off
    identity = endpoints.add("acme", URL).id
    off = endpoints.disable_failing(identity, "answered http_410")
    # Then what is for it is held, and a later reason changes nothing
    assert (off.automatic, off.held_because, off.skipped_because) == (
        True,
        "the endpoint was disabled: answered http_410",
        "",
    )
    assert endpoints.disable_failing(identity, "failed for 5.0 days") == off
    # When a person disables it, then what is for it is skipped
    by_hand = endpoints.set_state(identity, EndpointState.DISABLED, "not ours any more")
    assert (by_hand.held_because, by_hand.skipped_because) == ("", "the endpoint is disabled: not ours any more")
    # And no worker changes that
    assert endpoints.disable_failing(identity, "answered http_410") == by_hand
    # When it is enabled, then it is as others are
    assert endpoints.set_state(identity, EndpointState.ENABLED).automatic is False


def test_a_rotated_secret_signs_beside_the_new_one_for_a_day(endpoints: Endpoints, clock: Clock) -> None:
    # Given an endpoint whose secret is rotated
    (old,) = endpoints.add("acme", URL).secrets
    identity = endpoints.list()[0].id
    rotated = endpoints.rotate(identity)
    # Then both sign, the new one first
    assert rotated.secrets[1:] == (old,)
    assert (rotated.secrets[0] != old, rotated.rotated) == (True, clock.now)
    # Until the overlap ends
    clock.now += DAY - 1
    assert len(endpoints.get(identity).secrets) == 2
    clock.now += 1
    assert endpoints.get(identity).secrets == rotated.secrets[:1]


def test_secrets_are_at_most_ten_however_often_they_are_rotated(endpoints: Endpoints) -> None:
    identity = endpoints.add("acme", URL).id
    for _ in range(MAX_SECRETS + 3):
        endpoints.rotate(identity)
    assert len(endpoints.get(identity).secrets) == MAX_SECRETS


def test_a_rotation_with_a_given_secret_repeats_without_another(endpoints: Endpoints) -> None:
    identity = endpoints.add("acme", URL).id
    first = endpoints.rotate(identity, secret="whsec_bmV3")
    assert endpoints.rotate(identity, secret="whsec_bmV3") == first


def test_changes_at_the_same_time_lose_nothing(endpoints: Endpoints) -> None:
    # Given an endpoint
    identity = endpoints.add("acme", URL).id
    # When a worker disables it while operators rotate and describe it
    with ThreadPoolExecutor(3) as pool:
        work = [
            pool.submit(endpoints.set_state, identity, EndpointState.DISABLED, "410"),
            pool.submit(endpoints.rotate, identity),
            pool.submit(endpoints.update, identity, description="ERP"),
        ]
        for one in work:
            one.result()
    # Then every change is there
    found = endpoints.get(identity)
    assert (found.state, found.description, len(found.secrets)) == (EndpointState.DISABLED, "ERP", 2)


@pytest.mark.usefixtures("redis_server")
def test_what_a_newer_release_keeps_besides_is_no_obstacle(endpoints: Endpoints, redis_url: str) -> None:
    # Given an endpoint that a newer release has written, with a field nobody here knows
    added = endpoints.add("acme", URL)
    with redis.Redis.from_url(redis_url) as client:
        text = json.loads(client.hget(keys.endpoints(), added.id))
        client.hset(keys.endpoints(), added.id, json.dumps(text | {"colour": "green"}))
    # Then workers of this one go on sending to it
    assert endpoints.get(added.id) == added


def test_a_removed_endpoint_is_gone_everywhere(endpoints: Endpoints, store: Store) -> None:
    identity = endpoints.add("acme", URL).id
    endpoints.remove(identity)
    assert endpoints.list("acme") == []
    assert SyncEndpointDirectory(store).endpoints("acme", "order.shipped") == ()
    for change in (endpoints.get, endpoints.rotate, endpoints.remove, endpoints.update):
        with pytest.raises(NotFound, match=identity):
            change(identity)


def test_planning_sees_all_endpoints_that_subscribed_whatever_their_state(endpoints: Endpoints, store: Store) -> None:
    # Given endpoints that differ in tenant, subscription and state
    wanted = endpoints.add("acme", URL, event_types=["order.*"]).id
    endpoints.add("acme", URL, event_types=["invoice.paid"])
    endpoints.add("other", URL)
    disabled = endpoints.add("acme", URL).id
    endpoints.set_state(disabled, EndpointState.DISABLED)
    # Then those that fit are found: what is planned for the disabled one is held or skipped where people see it
    directory = SyncEndpointDirectory(store)
    assert list(directory.endpoints("acme", "order.shipped")) == sorted([wanted, disabled])
    assert directory.endpoints("nobody", "order.shipped") == ()


@pytest.mark.usefixtures("redis_server")  # a Cluster is asked for the version of all first
def test_a_tenants_endpoints_are_fetched_once_and_again_when_they_changed(endpoints: Endpoints, redis_url: str) -> None:
    async def scenario() -> None:
        # Given a directory that knows two tenants
        store, clock = connect_async(redis_url), Clock()
        directory = EndpointDirectory(store, clock)
        await directory.refresh(["acme", "other"])
        added = endpoints.add("acme", URL).id
        # When planning asks, then it costs nothing, and says of which version it is
        await directory.refresh(["acme", "other"])
        assert (directory.endpoints("acme", "x"), directory.version, store.round_trips) == ((), "", 1)
        # When somebody has noticed that there is another version, then it is seen whose it is, and fetched
        await directory.catch_up(["acme"])
        assert (directory.endpoints("acme", "x"), directory.version, store.round_trips) == ((added,), "1", 3)
        # And of another tenant it is seen once that nothing has changed
        unchanged = directory.endpoints("other", "x")
        await directory.refresh(["acme", "other"])
        await directory.refresh(["acme", "other"])
        assert (directory.endpoints("other", "x") is unchanged, store.round_trips) == (True, 4)
        # And what an earlier release changed without counting is found after a while
        clock.now += FRESH_S
        await directory.refresh(["acme", "other"])
        assert store.round_trips == 5
        await store.close()

    asyncio.run(scenario())


@pytest.mark.usefixtures("redis_server")  # as above
def test_the_changes_of_others_do_not_make_a_tenants_endpoints_fetched_again(
    endpoints: Endpoints, redis_url: str
) -> None:
    endpoints.add("acme", URL)

    async def scenario() -> None:
        # Given a directory that knows a tenant, and changes of others that come and come
        store = connect_async(redis_url)
        directory = EndpointDirectory(store)
        await directory.refresh(["acme"])
        known = directory.endpoints("acme", "x")
        for number in range(5):
            endpoints.add(f"other{number}", URL)
            await directory.catch_up(["acme"])
            # Then one question each says that nothing of it has changed
            assert directory.endpoints("acme", "x") is known
        assert store.round_trips == 1 + 5
        await store.close()

    asyncio.run(scenario())


def change_as_releases_before(store: Store, tenant: str, endpoint: str) -> None:
    """They count in one place for all tenants."""
    written = json.dumps(["enabled", "*"], separators=(",", ":"))
    store.run(_several(("HSET", keys.endpoints_of(tenant), endpoint, written), ("INCR", keys.endpoints_version())))


def _several(*commands: tuple[str, ...]) -> Operation[None]:
    yield [command(*words) for words in commands]


@pytest.mark.usefixtures("redis_server")  # none of those knew a Cluster
def test_a_change_by_the_release_before_counts_for_every_tenant(
    endpoints: Endpoints, store: Store, redis_url: str
) -> None:
    endpoints.add("acme", URL)

    async def scenario() -> None:
        reader = connect_async(redis_url)
        directory = EndpointDirectory(reader)
        await directory.refresh(["acme", "other"])
        # Given an upgrade during which a process of the release before adds an endpoint
        change_as_releases_before(store, "other", "ep_old")
        # Then it is seen by whoever has noticed the version
        await directory.catch_up(["other"])
        assert directory.endpoints("other", "x") == ("ep_old",)
        # And also when a process of this release has changed another tenant's in between
        change_as_releases_before(store, "other", "ep_older")
        endpoints.add("acme", URL)
        await directory.catch_up(["other"])
        assert directory.endpoints("other", "x") == ("ep_old", "ep_older")
        # And a change that came before, and was seen, is not looked for again
        before = reader.round_trips
        endpoints.add("acme", URL)
        await directory.catch_up(["other"])
        assert reader.round_trips == before + 1
        await reader.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("tenant", ["version", "versions", "breakers", "", "-versions", "=acme", "last"])
def test_a_tenant_may_be_called_like_a_key_of_ours(endpoints: Endpoints, store: Store, tenant: str) -> None:
    # Given an endpoint that fails, and one of a tenant whose name is that of a key
    failing = endpoints.add("acme", URL)
    Breakers(store).observe({failing.id: Observed(failed=1, wait=60, code="http_503")}, {})
    directory = SyncEndpointDirectory(store)
    assert directory.endpoints(tenant, "x") == ()
    added = endpoints.add(tenant, URL).id
    # Then each tenant has its own, and the list too
    directory.refresh([tenant, "acme"])
    assert directory.endpoints(tenant, "x") == (added,)
    assert directory.endpoints("acme", "x") == (failing.id,)
    assert [one.id for one in endpoints.list(tenant)] == [added]
    endpoints.remove(added)
    directory.refresh([tenant])
    assert directory.endpoints(tenant, "x") == ()


@pytest.mark.usefixtures("redis_server")  # on a Cluster any change makes everybody look, and nobody fetch
def test_only_what_planning_must_know_makes_another_version(endpoints: Endpoints, store: Store) -> None:
    def version() -> str:
        directory = SyncEndpointDirectory(store)
        directory.refresh(["acme"])
        return directory._cache.version

    # Given an endpoint
    identity = endpoints.add("acme", URL).id
    assert version() == "1"
    # When what it is sent changes, then nobody need plan again
    endpoints.rotate(identity)
    endpoints.update(identity, url=URL + "/new", description="ERP")
    assert version() == "1"
    # When who gets what changes, then everybody must
    endpoints.update(identity, event_types=["order.*"])
    endpoints.set_state(identity, EndpointState.DISABLED)
    endpoints.remove(identity)
    assert version() == "4"


@pytest.mark.usefixtures("redis_server")  # as above
def test_asyncio_planning_uses_what_was_refreshed(endpoints: Endpoints, redis_url: str) -> None:
    added = endpoints.add("acme", URL, event_types=["order.*"]).id

    async def scenario() -> tuple[list[str], int]:
        store = connect_async(redis_url)
        directory = EndpointDirectory(store)
        await directory.refresh(["acme"])
        await directory.refresh(["acme"])
        found = list(directory.endpoints("acme", "order.paid"))
        await store.close()
        return found, store.round_trips

    assert asyncio.run(scenario()) == ([added], 1)


def test_planning_stops_rather_than_use_old_endpoints(
    endpoints: Endpoints, store: Store, redis_server: RedisServer
) -> None:
    # Given a directory that has seen a tenant
    clock = Clock()
    directory = SyncEndpointDirectory(store, clock)
    directory.refresh(["acme"])
    # When Redis is away and what it knows has become too old
    clock.now += FRESH_S
    redis_server.stop()
    try:
        with pytest.raises(StorageUnavailable):
            directory.endpoints("acme", "x")
    finally:
        redis_server.start()


def test_breakers_are_read_with_their_endpoints_and_go_with_them(
    endpoints: Endpoints, store: Store, clock: Clock
) -> None:
    # Given one endpoint that asked for time, and one of which nothing is known
    asked, other = endpoints.add("acme", URL), endpoints.add("acme", URL)
    breakers = Breakers(store, clock)
    breakers.observe({asked.id: Observed(failed=1, wait=60, code="http_503")}, {})

    # When both are read
    before = store.round_trips
    found = endpoints.get_many([asked.id, other.id])

    # Then their breakers come in the same round trip
    assert store.round_trips - before == 1
    assert found[other.id].breaker is None
    breaker = found[asked.id].breaker
    assert breaker is not None
    assert (breaker.is_open, breaker.until, breaker.code) == (True, clock.now + 60, "http_503")

    # And nothing is left of an endpoint that is removed
    endpoints.remove(asked.id)
    assert store.client.hgetall(keys.endpoint_breakers(store.spread.tag(asked.id))) == {}
