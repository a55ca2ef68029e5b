"""The index of the failure queues."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked
from notifier.domain.topology import FAILURE_QUEUES
from notifier.storage.parked import ParkedFilter, ParkedIndex, ParkedPage
from notifier.storage.store import Store


@pytest.fixture
def index(store: Store) -> ParkedIndex:
    return ParkedIndex(store)


def parked(
    number: int,
    queue: str = "failed-email",
    cause: Cause = Cause.REFUSED,
    at: float | None = None,
    **fields: Any,
) -> Parked:
    when = 1_800_000_000.0 + number if at is None else at
    return Parked(id=f"dlv_{number:06d}", queue=queue, cause=cause, reason="550 no", parked_at=when, **fields)


def everything(index: ParkedIndex, wanted: ParkedFilter, limit: int) -> list[str]:
    found: list[str] = []
    page = index.search(wanted, limit=limit)
    while True:
        found += [entry.id for entry in page.entries]
        if not page.cursor:
            return found
        page = index.search(wanted, limit=limit, after=page.cursor)


def test_an_entry_is_found_counted_and_removed(index: ParkedIndex) -> None:
    # Given a parked delivery
    entry = parked(1, event="evt_a", tenant="acme", rule="order.shipped/mail", destination="j…@example.org")
    index.add([entry])
    # Then it is found as it was
    assert index.get(entry.id) == entry
    assert index.search(ParkedFilter()) == ParkedPage((entry,), "")
    assert index.counts() == {("failed-email", Cause.REFUSED): 1}
    # When it leaves its queue, told twice
    index.remove([entry.id])
    index.remove([entry.id, "dlv_never"])
    # Then nothing is left
    assert index.get(entry.id) is None
    assert index.counts() == {}


def test_adding_again_with_another_cause_moves_the_entry(index: ParkedIndex) -> None:
    index.add([parked(1), parked(2)])
    index.add([parked(1), parked(2, cause=Cause.EXHAUSTED)])
    assert index.counts() == {("failed-email", Cause.REFUSED): 1, ("failed-email", Cause.EXHAUSTED): 1}
    index.add([parked(2, queue="failed-webhook")])
    assert index.counts() == {("failed-email", Cause.REFUSED): 1, ("failed-webhook", Cause.REFUSED): 1}


def test_adding_fifty_entries_is_one_round_trip(index: ParkedIndex, store: Store) -> None:
    index.add([parked(0)])
    before = store.round_trips
    index.add([parked(i) for i in range(1, 51)])
    assert store.round_trips - before == 1


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ParkedFilter(queue="failed-email"), [4, 2, 1]),
        (ParkedFilter(cause=Cause.EXHAUSTED), [3, 2]),
        (ParkedFilter(queue="failed-email", cause=Cause.EXHAUSTED), [2]),
        (ParkedFilter(tenant="acme"), [4, 1]),
        (ParkedFilter(rule="r2"), [2]),
        (ParkedFilter(rules=("r2", "gone")), [2]),
        (ParkedFilter(event_type="order.paid"), [3]),
        (ParkedFilter(newer_than=1_800_000_002), [4, 3, 2]),
        (ParkedFilter(older_than=1_800_000_003), [2, 1]),
        (ParkedFilter(newer_than=1_800_000_002, older_than=1_800_000_003), [2]),
        (ParkedFilter(ids=("dlv_000003", "dlv_000001", "dlv_none")), [3, 1]),
        (ParkedFilter(ids=("dlv_000003", "dlv_000001"), tenant="acme"), [1]),
        (ParkedFilter(), [4, 3, 2, 1]),
    ],
)
def test_entries_are_searched_newest_first(index: ParkedIndex, wanted: ParkedFilter, expected: list[int]) -> None:
    # Given four entries that differ
    index.add(
        [
            parked(1, tenant="acme"),
            parked(2, cause=Cause.EXHAUSTED, rule="r2"),
            parked(3, "failed-webhook", Cause.EXHAUSTED, event_type="order.paid"),
            parked(4, tenant="acme"),
        ]
    )
    # Then each filter finds its own, and counts them
    assert everything(index, wanted, 1) == [f"dlv_{n:06d}" for n in expected]
    assert index.count(wanted) == len(expected)
    assert list(index.ids(wanted)) == [f"dlv_{n:06d}" for n in expected]


def test_clearing_one_queue_leaves_the_others(index: ParkedIndex) -> None:
    # Given more entries in one queue than one round trip takes away
    index.add([parked(i, cause=[Cause.REFUSED, Cause.POISON][i % 2]) for i in range(1300)])
    index.add([parked(9999, "failed-webhook")])
    # When it is cleared
    index.clear("failed-email")
    # Then only the other queue's are there
    assert index.counts() == {("failed-webhook", Cause.REFUSED): 1}
    assert index.get("dlv_000001") is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(FAILURE_QUEUES), st.sampled_from(list(Cause)), st.integers(0, 3)), max_size=60),
    st.integers(1, 7),
)
def test_pages_show_every_entry_once_also_when_many_were_parked_in_the_same_millisecond(
    store: Store, made: list[tuple[str, Cause, int]], limit: int
) -> None:
    # Given entries of which many share their time
    store.client.flushall()
    index = ParkedIndex(store)
    entries = [parked(n, queue, cause, at=1_800_000_000.0 + when) for n, (queue, cause, when) in enumerate(made)]
    index.add(entries)
    # Then the pages show each once, newest first
    expected = sorted(entries, key=lambda e: (e.parked_at, e.id), reverse=True)
    assert everything(index, ParkedFilter(), limit) == [entry.id for entry in expected]


def test_many_entries_of_one_moment_are_paged(index: ParkedIndex) -> None:
    # Given two thousand entries parked in the same millisecond, more than one read takes
    index.add([parked(n, at=1_800_000_000.0) for n in range(2000)])
    # Then every page is read, without an end that comes too early
    assert len(set(everything(index, ParkedFilter(), 300))) == 2000


@pytest.mark.slow
def test_a_hundred_thousand_entries_are_searched_page_by_page(index: ParkedIndex, store: Store) -> None:
    # Given 100,000 entries of which ten belong to one tenant
    for start in range(0, 100_000, 5000):
        index.add([parked(n, tenant="rare" if n % 10_000 == 0 else "acme") for n in range(start, start + 5000)])
    # Then the newest page comes in two round trips, whatever lies behind it
    before = store.round_trips
    assert len(index.search(ParkedFilter(cause=Cause.REFUSED), limit=50).entries) == 50
    assert store.round_trips - before == 2
    # And a rare filter is answered in bounded pieces
    page = index.search(ParkedFilter(tenant="rare"))
    assert page.cursor
    assert len(everything(index, ParkedFilter(tenant="rare"), 50)) == 10
