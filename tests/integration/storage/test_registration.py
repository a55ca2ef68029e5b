"""Events and their planned deliveries, before and after they are published."""

import asyncio

import pytest

from notifier.domain.delivery import Status
from notifier.storage.connection import connect_async
from notifier.storage.ledger import AsyncLedger, Ledger, Record, Registration
from notifier.storage.store import Store
from tests.integration.storage.making import RULE, claim, delivery, event, registration, request


def test_a_new_event_is_written_down_with_its_deliveries(ledger: Ledger) -> None:
    # Given an event with three deliveries
    new = registration(people=3)
    # When it is registered
    (answer,) = ledger.register([new])
    # Then nothing was known, and everything is queued
    assert (answer.known, answer.done) == (False, frozenset())
    ids = [d.id for d, _ in new.deliveries]
    assert [r and r.status for r in ledger.deliveries(ids)] == [Status.QUEUED] * 3
    found = ledger.event(new.event.key)
    assert found
    assert (found.id, found.source, found.type, found.tenant) == (
        "order-1",
        "/shop",
        "order.shipped",
        "default",
    )
    assert (found.deliveries, found.planned, found.next_page) == (tuple(ids), False, None)


def test_an_event_is_a_duplicate_only_after_it_was_planned(ledger: Ledger) -> None:
    # Given an event that was registered while its tasks were not confirmed
    ledger.register([registration()])
    assert [a.known for a in ledger.register([registration()])] == [False]
    # When they are
    ledger.planned([event().key])
    # Then it is a duplicate
    assert [a.known for a in ledger.register([registration()])] == [True]
    found = ledger.event(event().key)
    assert found
    assert found.planned
    assert len(found.deliveries) == 1


def test_deliveries_beyond_queued_are_not_published_again(ledger: Ledger) -> None:
    # Given an event whose first delivery is being sent, and whose second is sent
    both = registration(people=3)
    ledger.register([both])
    (first, _), (second, _), _third = both.deliveries
    claim(ledger, request(both.event, to="p0@example.org"))
    held = claim(ledger, request(both.event, to="p1@example.org"))
    ledger.record([Record(second.id, held.fence, Status.SENT)])
    # When the consumer plans it again after a crash
    (answer,) = ledger.register([both])
    # Then only the third is to be published, and nothing newer was overwritten
    assert answer.done == {first.id, second.id}
    assert [r and r.status for r in ledger.deliveries([second.id])] == [Status.SENT]


def test_a_rule_added_later_leaves_no_queued_record_with_a_duplicate(ledger: Ledger) -> None:
    # Given a planned event
    ledger.register([registration(people=1)])
    ledger.planned([event().key])
    # When the same event comes again and more is planned of it
    ledger.register([registration(people=2)])
    # Then what nobody will publish does not show as queued
    added = registration(people=2).deliveries[1][0]
    assert ledger.deliveries([added.id]) == [None]


@pytest.mark.usefixtures("redis_server")
def test_registering_fifty_events_is_one_round_trip(ledger: Ledger, store: Store) -> None:
    ledger.register([registration(0)])
    before = store.round_trips
    ledger.register([registration(i) for i in range(1, 51)])
    assert store.round_trips - before == 1


def test_planning_an_unknown_event_makes_no_record(ledger: Ledger) -> None:
    ledger.planned(["evt_unknown"])
    assert ledger.event("evt_unknown") is None


def test_other_tenants_and_strange_texts_are_kept(ledger: Ledger) -> None:
    # Given an event with characters of every kind
    strange = event(id="ä\N{SNOWMAN} ,;|{}", source="urn:x y", tenant="acme|eu")
    ledger.register([Registration(strange, ((delivery(strange), RULE),))])
    # Then they are read back
    found = ledger.event(strange.key)
    assert found
    assert (found.id, found.source, found.tenant) == (strange.id, strange.source, "acme|eu")


def test_a_fan_out_of_a_hundred_thousand_deliveries_is_paged(ledger: Ledger) -> None:
    # Given an event for 100,000 people, registered in chunks of 500, one of them twice because of a crash
    mass = event()
    template = delivery(mass)
    ids = [f"dlv_{i:026d}" for i in range(100_000)]
    chunks = [
        Registration(mass, tuple((template.model_copy(update={"id": i}), RULE) for i in ids[start : start + 500]))
        for start in range(0, 100_000, 500)
    ]
    for chunk in [*chunks, chunks[7]]:
        ledger.register([chunk])
    # When all pages are read
    found: list[str] = []
    page: int | None = 0
    while page is not None:
        record = ledger.event(mass.key, page)
        assert record is not None
        assert len(record.deliveries) <= 500
        found += record.deliveries
        page = record.next_page
    # Then each delivery is there once, in order
    assert found == ids


def test_asyncio_runs_the_same_operations(redis_url: str, ledger: Ledger) -> None:
    async def scenario() -> list[bool]:
        store = connect_async(redis_url)
        try:
            intake = AsyncLedger(store)
            first = await intake.register([registration()])
            await intake.planned([event().key])
            again = await intake.register([registration()])
            found = await intake.event(event().key)
            assert found
            assert await intake.deliveries(found.deliveries) == ledger.deliveries(found.deliveries)
            assert await intake.of_recipient("rcp_none") == []
            return [first[0].known, again[0].known]
        finally:
            await store.close()

    assert asyncio.run(scenario()) == [False, True]
