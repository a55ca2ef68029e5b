"""Digest windows: every item in exactly one, whatever crashes."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain import ids
from notifier.domain.rule import Window
from notifier.errors import ConfigurationError
from notifier.storage.cipher import Cipher
from notifier.storage.connection import connect
from notifier.storage.digests import CLOSING_RETRY_S, ClosedWindow, Digests, WindowRef, lease
from notifier.storage.store import Store
from tests.integration.storage.making import Clock, fail, item, raw_dump, take
from tests.servers.redis import RedisServer

KEY = "k" * 32
SOON = Window(after_first=60)


@pytest.fixture
def digests(store: Store, clock: Clock) -> Digests:
    return Digests(store, Cipher(KEY))


def close(digests: Digests, ref: WindowRef, now: float) -> ClosedWindow | None:
    """One of them."""
    return next((closed for _, closed in digests.close([ref], now, fail)), None)


def close_all(digests: Digests, now: float) -> list[ClosedWindow]:
    found = []
    for ref in take(digests, now):
        closed = close(digests, ref, now)
        assert closed is not None
        found.append(closed)
        digests.forget([ref])
    return found


def test_the_first_item_opens_a_window_and_others_join_it(digests: Digests, clock: Clock) -> None:
    # Given three items for one person, the last one later
    collected = digests.collect([item(1, SOON), item(2, SOON)], clock.now)
    collected += digests.collect([item(3, SOON)], clock.now + 30)
    # Then they are in the window named after the first
    first = item(1, SOON).delivery
    assert {c.window for c in collected} == {first.id}
    # And it is due a minute after the first, with everything its digest needs
    assert take(digests, clock.now + 59) == []
    (ref,) = take(digests, clock.now + 60)
    closed = close(digests, ref, clock.now + 61)
    assert closed
    assert [e.data for e in closed.events] == [{"note": f"confidential {n}"} for n in (1, 2, 3)]
    assert (closed.window, closed.rule, closed.to, closed.total) == (first.id, first.rule, first.to, 3)
    assert (closed.opened, closed.closed) == (clock.now, clock.now + 61)


def test_an_item_collected_twice_is_one_item(digests: Digests, clock: Clock) -> None:
    # Given an item whose task came twice
    assert [c.fresh for c in digests.collect([item(1, SOON), item(1, SOON)], clock.now)] == [True, False]
    # Then it is in its window once
    (closed,) = close_all(digests, clock.now + 60)
    assert closed.total == len(closed.events) == 1


def test_an_item_that_comes_again_after_its_digest_went_out_opens_no_window(digests: Digests, clock: Clock) -> None:
    # Given a digest that was sent and forgotten
    digests.collect([item(1, SOON)], clock.now)
    (closed,) = close_all(digests, clock.now + 60)
    # When the item's task is redelivered
    (again,) = digests.collect([item(1, SOON)], clock.now + 61)
    # Then it is known to be in the window that is gone
    assert (again.window, again.fresh) == (closed.window, False)
    assert take(digests, clock.now + 9999) == []


def test_people_and_keys_have_windows_of_their_own(digests: Digests, clock: Clock) -> None:
    digests.collect([item(1, SOON), item(2, SOON, to="bob@example.org"), item(3, SOON, key="account-7")], clock.now)
    closed = close_all(digests, clock.now + 60)
    assert sorted((c.to.identity, c.key) for c in closed) == [
        ("mailto:bob@example.org", ""),
        ("mailto:jane@example.org", ""),
        ("mailto:jane@example.org", "account-7"),
    ]


def test_a_full_window_closes_at_once_and_the_next_item_opens_another(
    digests: Digests, clock: Clock, store: Store
) -> None:
    # Given a rule that closes at two items
    window = Window(after_first=3600, at_most=2)
    digests.collect([item(0, SOON, to="warm@example.org")], clock.now)
    before = store.round_trips
    # When five items come at once
    collected = digests.collect([item(i, window) for i in range(1, 6)], clock.now)
    # Then they are in windows of two, two and one, of which the full ones are due now
    assert [c.window for c in collected] == [item(i, window).delivery.id for i in (1, 1, 3, 3, 5)]
    assert sorted(c.total for c in close_all(digests, clock.now)) == [2, 2]
    assert [c.total for c in close_all(digests, clock.now + 3600) if c.key == "" and "jane" in str(c.to)] == [1]
    assert store.round_trips > before


def test_collecting_fifty_items_is_one_round_trip(digests: Digests, clock: Clock, store: Store) -> None:
    digests.collect([item(0, SOON)], clock.now)
    before = store.round_trips
    digests.collect([item(i, SOON) for i in range(1, 51)], clock.now)
    assert store.round_trips - before == 1


def test_closing_again_after_a_crash_gives_the_same_content(digests: Digests, clock: Clock) -> None:
    # Given a window that was closed by a sweeper that died before it published
    digests.collect([item(1, SOON)], clock.now)
    (ref,) = take(digests, clock.now + 60)
    first = close(digests, ref, clock.now + 60)
    # When a new item comes, and the window is due again a minute later
    digests.collect([item(2, SOON)], clock.now + 61)
    again = [close(digests, r, clock.now + 200) for r in take(digests, clock.now + 60 + CLOSING_RETRY_S)]
    # Then the same content is there, and the new item is in another window
    assert again == [first]
    assert first
    assert first.deliveries == (item(1, SOON).delivery.id,)


def test_a_window_that_is_being_closed_is_not_due_for_another_sweeper_at_once(digests: Digests, clock: Clock) -> None:
    digests.collect([item(1, SOON)], clock.now)
    (ref,) = take(digests, clock.now + 60)
    close(digests, ref, clock.now + 60)
    assert take(digests, clock.now + 61) == []


def test_a_forgotten_window_is_gone_and_may_be_forgotten_again(digests: Digests, clock: Clock) -> None:
    # Given a window that was closed and confirmed
    digests.collect([item(1, SOON)], clock.now)
    (ref,) = take(digests, clock.now + 60)
    close(digests, ref, clock.now + 60)
    digests.forget([ref])
    # When a slow sweeper still holds its name
    digests.forget([ref])
    # Then it gets nothing, and nothing is due
    assert close(digests, ref, clock.now + 61) is None
    assert digests.count() == 0


def test_a_window_nobody_knows_leaves_the_list_of_due_ones(digests: Digests, clock: Clock, store: Store) -> None:
    # Given a due entry whose window was forgotten halfway
    store.client.zadd("ntf:{digests}:due", {"group dlv_gone": 0})
    # When it is closed
    assert close(digests, WindowRef("group", "dlv_gone"), clock.now) is None
    # Then it is not due any more
    assert take(digests, clock.now) == []


def test_a_window_keeps_a_thousand_contents_and_counts_the_rest(store: Store, clock: Clock) -> None:
    # Given a window that keeps three
    digests = Digests(store, Cipher(KEY), items_kept=3)
    digests.collect([item(i, SOON) for i in range(5)], clock.now)
    # Then two are only counted, but known by id so that the ledger can end them
    (closed,) = close_all(digests, clock.now + 60)
    assert (len(closed.events), closed.total) == (3, 5)
    assert closed.deliveries == tuple(item(i, SOON).delivery.id for i in range(5))


def test_contents_are_encrypted(digests: Digests, clock: Clock, redis_server: RedisServer) -> None:
    # Given an item
    digests.collect([item(1, SOON)], clock.now)
    # Then neither its event nor its address can be read in Redis
    dump = raw_dump(redis_server)
    assert "confidential" not in dump
    assert "jane@" not in dump


def test_collecting_without_a_key_says_what_to_set(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="NOTIFIER_SECRET_KEY"):
        Digests(store, Cipher("")).collect([item(1, SOON)], 1.0)


def test_a_digests_id_follows_from_its_window(digests: Digests, clock: Clock) -> None:
    digests.collect([item(1, SOON, key="k")], clock.now)
    (closed,) = close_all(digests, clock.now + 60)
    same = ids.digest_id(closed.rule, closed.to.identity, closed.key, closed.window)
    assert same == ids.digest_id(
        item(1, SOON).delivery.rule, "mailto:jane@example.org", "k", item(1, SOON, key="k").delivery.id
    )


steps = st.one_of(
    st.tuples(st.just("collect"), st.lists(st.integers(0, 11), min_size=1, max_size=6)),
    st.tuples(st.just("sweep"), st.sampled_from(["dies after close", "dies after publish", "finishes"])),
    st.tuples(st.just("wait"), st.integers(1, 200)),
)


@pytest.fixture(scope="module")
def module_store(redis_server: RedisServer) -> Iterator[Store]:
    store = connect(redis_server.url)
    yield store
    store.close()


def test_sweeps_at_the_same_time_share_the_windows(digests: Digests, clock: Clock) -> None:
    # Given ten windows that are due
    digests.collect([item(n, SOON, to=f"p{n}@example.org") for n in range(10)], clock.now)

    # When sweeps take some at a time
    moment = clock.now + 60
    taken = [digests.take(moment, lease(moment), 4) for _ in range(4)]

    # Then each window is one sweep's
    assert [len(refs) for refs in taken] == [4, 4, 2, 0]
    assert len({ref for refs in taken for ref in refs}) == 10


def test_a_sweep_whose_reply_was_lost_gets_the_same_windows_again(digests: Digests, clock: Clock) -> None:
    digests.collect([item(n, SOON, to=f"p{n}@example.org") for n in range(3)], clock.now)
    moment = clock.now + 60
    until = lease(moment)

    first = digests.take(moment, until, 2)

    assert digests.take(moment, until, 2) == first
    assert len(digests.take(moment, lease(moment), 2)) == 1


@pytest.mark.parametrize("window", [SOON, Window(after_first=60, at_most=2)], ids=["by time", "by size"])
def test_an_item_that_joins_a_taken_window_leaves_it_to_its_sweep(
    digests: Digests, clock: Clock, window: Window
) -> None:
    # Given a window that a sweep has taken and not closed
    digests.collect([item(1, window)], clock.now)
    moment = clock.now + 60
    (ref,) = take(digests, moment)

    # When another item joins it
    digests.collect([item(2, window)], moment)

    # Then no other sweep gets it, and its sweep has both
    assert take(digests, moment) == []
    closed = close(digests, ref, moment)
    assert closed is not None
    assert closed.total == 2


class Simulation:
    """Collects, sweeps that may die halfway, and what was published; the clock is moved by the test."""

    def __init__(self, store: Store, window: Window) -> None:
        store.client.flushall()
        self.now = 1_800_000_000.0
        self.collected: set[str] = set()
        self.published: dict[str, tuple[str, ...]] = {}
        self.digests = Digests(store, Cipher(KEY))
        self._window = window

    def step(self, kind: str, what: Any) -> None:
        if kind == "wait":
            self.now += what
        elif kind == "sweep":
            self.sweep(what)
        else:
            items = [item(n, self._window, to=f"p{n % 2}@example.org") for n in what]
            self.digests.collect(items, self.now)
            self.collected |= {i.delivery.id for i in items}

    def sweep(self, end: str) -> None:
        for ref in take(self.digests, self.now):
            closed = close(self.digests, ref, self.now)
            assert closed is not None
            if end == "dies after close":
                return
            # A window that is published again has the same content.
            assert self.published.setdefault(closed.window, closed.deliveries) == closed.deliveries
            if end == "dies after publish":
                return
            self.digests.forget([ref])


@settings(max_examples=60, deadline=None)
@given(script=st.lists(steps, max_size=15), at_most=st.sampled_from([None, 1, 3]))
def test_every_item_is_in_exactly_one_window_whatever_crashes(
    module_store: Store, script: list[tuple[str, Any]], at_most: int | None
) -> None:
    # Given any order of items, repeats, sweeps that die and time that passes
    simulation = Simulation(module_store, Window(after_first=60, at_most=at_most))
    for kind, what in script:
        simulation.step(kind, what)
    # When everything that is left goes out
    for _ in range(2):
        simulation.now += 3600
        simulation.sweep("finishes")
    # Then each item was published in exactly one window, none is too large, and none is left
    members = [i for deliveries in simulation.published.values() for i in deliveries]
    assert sorted(members) == sorted(simulation.collected)
    assert all(len(deliveries) <= (at_most or 99) for deliveries in simulation.published.values())
    assert simulation.digests.count() == 0
