"""`Intake` on a real ledger: what is wrong with one event stays with it, and a crash repeats no more than it must."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest

from consumers.group import Group
from consumers.intake import Intake
from notifier.domain.batch import Batch
from notifier.domain.delivery import EndpointRef
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked
from notifier.errors import StorageUnavailable
from notifier.rules.catalog import Catalog
from notifier.rules.content import Content
from notifier.storage.cipher import Cipher
from notifier.storage.connection import connect, connect_async
from notifier.storage.directory import EndpointDirectory
from notifier.storage.endpoints import Endpoints as Registry
from notifier.storage.ledger import AsyncLedger, Ledger
from tests.servers.redis import RedisServer
from tests.unit.consumers.factories import received, structured

T = TypeVar("T")
KEY = "a-secret-key-for-tests-of-more-than-32-characters"
RULES = """\
event: order.placed
category: orders
rules:
  - id: customer
    channel: email
    to: data.customer
  - id: partners
    channel: webhook
"""


class Endpoints:
    """A directory that knows one endpoint of every tenant, and breaks for the tenant `cursed`."""

    version = ""

    async def catch_up(self, tenants: Iterable[str]) -> None:
        await self.refresh(tenants)

    async def refresh(self, tenants: Iterable[str]) -> None:
        self.refreshed = set(tenants)

    def endpoints(self, tenant: str, event_type: str) -> Sequence[str]:
        if tenant == "cursed":
            raise RuntimeError("nobody foresaw this")
        return ["ep_1"]


def wire(number: int | str, **changes: Any) -> dict[str, Any]:
    data = {"customer": f"{number}@example.org"}
    return {"specversion": "1.0", "id": str(number), "source": "/s", "type": "order.placed", "data": data, **changes}


def deliveries(outgoing: Iterable[Any]) -> list[tuple[str, str]]:
    """(event id, rule) of every delivery in the task messages."""
    found = []
    for message in outgoing:
        if message.exchange == "notifier.tasks":
            batch = Batch.decode(orjson.loads(message.body)[0][0])
            found += [(batch.events[d.event].id, d.rule) for d in batch.deliveries]
    return sorted(found)


RunIntake = Callable[[Callable[[Intake], Awaitable[T]]], T]


@pytest.fixture
def indexed() -> list[Parked]:
    return []


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    folder = tmp_path / "order.placed"
    folder.mkdir()
    (folder / "rules.yaml").write_text(RULES)
    (folder / "email.subject.j2").write_text("Hello")
    (folder / "email.text.j2").write_text("Hello")
    return Content.load(tmp_path).catalog


@pytest.fixture
def run_intake(catalog: Catalog, redis_url: str, indexed: list[Parked]) -> RunIntake[Any]:
    """Runs a coroutine with an intake on its own event loop."""

    async def index(entries: Sequence[Parked]) -> None:
        indexed.extend(entries)

    def run(work: Callable[[Intake], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            store = connect_async(redis_url)
            try:
                return await work(Intake(lambda: catalog, Endpoints(), AsyncLedger(store), index_parked=index))
            finally:
                await store.close()

        return asyncio.run(main())

    return run


async def take_in(intake: Intake, *wires: Any, confirmed: bool = True) -> tuple[Group, list[tuple[str, str]]]:
    """One group from its bytes to its tasks; ``confirmed=False`` stops where a crash before the confirms would."""
    group = await intake.plan([received(*structured(w), tag=tag) for tag, w in enumerate(wires, start=1)])
    outgoing = await intake.register(group)
    if confirmed:
        await intake.finish(group)
    return group, deliveries(outgoing)


BOTH = ("order.placed/customer", "order.placed/partners")


def test_a_group_becomes_one_task_per_lane(run_intake: RunIntake[Any]) -> None:
    # When three events are taken in together
    group, planned = run_intake(lambda intake: take_in(intake, wire(1), wire(2), wire(3)))

    # Then their emails share a task and their webhooks another
    assert planned == [(str(n), rule) for n in (1, 2, 3) for rule in BOTH]
    assert (group.batches, group.deliveries, group.settled) == (2, 6, [1, 2, 3])


def test_an_event_nobody_foresaw_is_parked_alone(
    run_intake: RunIntake[Any], indexed: list[Parked], caplog: pytest.LogCaptureFixture
) -> None:
    # When an event whose planning breaks comes between two good ones
    group, planned = run_intake(lambda intake: take_in(intake, wire(1), wire(2, tenant="cursed"), wire(3)))

    # Then it is parked as poison with a traceback in the log, and the others are planned
    assert [(entry.cause, entry.tenant) for entry in indexed] == [(Cause.POISON, "cursed")]
    assert "nobody foresaw this" in indexed[0].reason
    assert "RuntimeError" in caplog.text
    assert planned == [(str(n), rule) for n in (1, 3) for rule in BOTH]
    assert group.settled == [1, 2, 3]


def test_an_event_that_was_confirmed_is_a_duplicate(run_intake: RunIntake[Any]) -> None:
    run_intake(lambda intake: take_in(intake, wire(1)))
    group, planned = run_intake(lambda intake: take_in(intake, wire(1), wire(1)))
    assert (planned, group.duplicates, group.known, group.settled) == ([], 2, 2, [1, 2])


def test_an_event_that_was_not_confirmed_is_published_again(run_intake: RunIntake[Any]) -> None:
    # Given a crash after the deliveries were written down and before their tasks were confirmed
    run_intake(lambda intake: take_in(intake, wire(1), confirmed=False))

    # When the event comes again, then its tasks are published again: workers know the deliveries by their ids
    group, planned = run_intake(lambda intake: take_in(intake, wire(1)))
    assert planned == [("1", rule) for rule in BOTH]
    assert group.duplicates == 0


def test_after_a_mistake_is_mended_the_same_event_plans_what_was_missing(
    run_intake: RunIntake[Any], indexed: list[Parked]
) -> None:
    # Given an event with one recipient that cannot be
    first = wire(1, data={"customer": ["a@example.org", 5]})
    _, planned = run_intake(lambda intake: take_in(intake, first))
    assert planned == [("1", rule) for rule in BOTH]
    assert [entry.cause for entry in indexed] == [Cause.PLANNING]

    # When it is replayed with that recipient mended
    mended = wire(1, data={"customer": ["a@example.org", "b@example.org"]})
    _, planned = run_intake(lambda intake: take_in(intake, mended))

    # Then the missing one is planned, beside those no worker has begun yet
    assert planned.count(("1", "order.placed/customer")) == 2

    # And from now on it is a duplicate
    group, planned = run_intake(lambda intake: take_in(intake, mended))
    assert (planned, group.duplicates) == ([], 1)


def test_a_fan_out_is_left_to_its_own_chunks(run_intake: RunIntake[Any]) -> None:
    # Given an event to 1,200 people beside a small one
    people = [f"p{n}@example.org" for n in range(1200)]

    async def work(intake: Intake) -> tuple[Group, list[Group], list[tuple[str, str]]]:
        group, planned = await take_in(intake, wire("big", data={"customer": people}), wire(2))
        chunks = list(intake.chunks(group.fanouts[0]))
        for chunk in chunks:
            planned += deliveries(await intake.register(chunk))
        return group, chunks, planned

    # When the group and then the chunks are planned
    group, chunks, planned = run_intake(work)

    # Then the small event ends with the group, and the large one with its last chunk, complete
    assert group.settled == [2]
    assert [chunk.settled for chunk in chunks] == [[], [], [1]]
    assert planned.count(("big", "order.placed/customer")) == 1200


def test_without_redis_it_says_so_and_plans_later(run_intake: RunIntake[Any], redis_server: RedisServer) -> None:
    redis_server.stop()
    try:
        with pytest.raises(StorageUnavailable):
            run_intake(lambda intake: take_in(intake, wire(1)))
    finally:
        redis_server.start()
    _, planned = run_intake(lambda intake: take_in(intake, wire(1)))
    assert planned == [("1", rule) for rule in BOTH]


async def with_real_endpoints(
    redis_url: str, catalog: Catalog, work: Callable[[Intake, Registry], Awaitable[None]]
) -> None:
    """Runs with an intake that asks the real directory, and the registry that changes it."""
    store, threads = connect_async(redis_url), connect(redis_url)
    try:
        await work(
            Intake(lambda: catalog, EndpointDirectory(store), AsyncLedger(store)), Registry(threads, Cipher(KEY))
        )
    finally:
        await store.close()
        threads.close()


def webhooks(outgoing: Iterable[Any]) -> list[str]:
    """Endpoints that get a webhook."""
    found = []
    for message in outgoing:
        batch = Batch.decode(orjson.loads(message.body)[0][0])
        found += [d.to.endpoint for d in batch.deliveries if isinstance(d.to, EndpointRef)]
    return sorted(found)


def test_an_event_published_after_an_endpoint_changed_is_planned_with_the_change(
    catalog: Catalog, redis_url: str
) -> None:
    async def work(intake: Intake, registry: Registry) -> None:
        # Given an intake that has just planned for one endpoint
        first = registry.add("default", "https://example.org/1").id
        group = await intake.plan([received(*structured(wire(1)), tag=1)])
        assert webhooks(await intake.register(group)) == [first]

        # When one is added and one is removed, and then an event comes at once
        second = registry.add("default", "https://example.org/2").id
        registry.remove(first)
        group = await intake.plan([received(*structured(wire(2)), tag=2)])
        outgoing = await intake.register(group)

        # Then it goes to the endpoints as they are now, and the ledger knows nothing of the other one
        assert webhooks(outgoing) == [second]
        assert len(deliveries(outgoing)) == 2
        ledger = Ledger(registry_store)
        keys = [planned.delivery.id for plan in group.plans for planned in plan.planned]
        assert all(ledger.deliveries(keys))
        record = ledger.event(group.plans[0].event.key)
        assert record is not None
        assert sum(one is not None for one in ledger.deliveries(record.deliveries)) == 2

        # And the next one is planned with them without another look
        group = await intake.plan([received(*structured(wire(3)), tag=3)])
        assert webhooks(await intake.register(group)) == [second]

    registry_store = connect(redis_url)
    asyncio.run(with_real_endpoints(redis_url, catalog, work))
    registry_store.close()


def test_a_fan_out_that_was_planned_before_an_endpoint_was_added_reaches_it(catalog: Catalog, redis_url: str) -> None:
    async def work(intake: Intake, registry: Registry) -> None:
        # Given an event with many recipients, planned with no endpoint known
        data = {"customer": [f"{number}@example.org" for number in range(1200)]}
        group = await intake.plan([received(*structured(wire(1, data=data)), tag=1)])
        (fanout,) = group.fanouts

        # When one is added before its first chunk is registered
        added = registry.add("default", "https://example.org/1").id
        found = [webhooks(await intake.register(chunk)) for chunk in intake.chunks(fanout)]

        # Then it gets the event once
        assert [one for chunk in found for one in chunk] == [added]

    asyncio.run(with_real_endpoints(redis_url, catalog, work))


def test_a_change_while_a_fan_out_runs_adds_what_is_new_and_takes_nothing_twice(
    catalog: Catalog, redis_url: str
) -> None:
    async def work(intake: Intake, registry: Registry) -> None:
        # Given an event for more endpoints than a chunk holds, whose first chunk is on its way
        there = [registry.add("default", f"https://example.org/{number}").id for number in range(1200)]
        group = await intake.plan([received(*structured(wire(1)), tag=1)])
        (fanout,) = group.fanouts
        chunks = intake.chunks(fanout)
        found = webhooks(await intake.register(next(chunks)))

        # When one is added, one that is not reached yet is removed, and another tenant changes its own
        added = registry.add("default", "https://example.org/new").id
        gone = max(there)
        registry.remove(gone)
        registry.add("acme", "https://example.org/other")
        for chunk in chunks:
            found += webhooks(await intake.register(chunk))

        # Then each endpoint of now gets it, once
        assert sorted(found) == sorted({*there, added} - {gone})

    asyncio.run(with_real_endpoints(redis_url, catalog, work))


def test_an_event_of_a_tenant_that_changed_nothing_is_planned_once(catalog: Catalog, redis_url: str) -> None:
    async def work(intake: Intake, registry: Registry) -> None:
        # Given an intake that knows the endpoint of a tenant
        mine = registry.add("default", "https://example.org/1").id
        await intake.register(await intake.plan([received(*structured(wire(1)), tag=1)]))

        # When another tenant changes its own, and then an event comes
        registry.add("acme", "https://example.org/other")
        group = await intake.plan([received(*structured(wire(2)), tag=2)])
        (plan,) = group.plans
        outgoing = await intake.register(group)

        # Then it goes where it was planned to go
        assert webhooks(outgoing) == [mine]
        assert group.plans[0] is plan

    asyncio.run(with_real_endpoints(redis_url, catalog, work))
