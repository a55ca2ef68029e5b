"""Pages of every list: whatever is added and taken away between two of them, what stays is seen exactly once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.domain.endpoint import Endpoint
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked
from notifier.domain.suppression import bounced
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.endpoints import Endpoints, _encode, _Stored, _swap_call
from notifier.storage.parked import ParkedFilter, ParkedIndex
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from tests.integration.storage.test_people_index import _sent

CIPHER = Cipher("k" * 32)
Page = tuple[list[str], str]


class SuppressedKeys:
    """The suppression list."""

    def __init__(self, store: Store) -> None:
        self._store, self._of = store, Suppressions(store)

    def add(self, number: int) -> None:
        self._of.add(f"rcp_{number}", bounced("smtp_550", 1.0))

    def remove(self, number: int) -> None:
        self._of.remove(f"rcp_{number}", ["bounce"])

    def add_before(self, number: int) -> None:
        """As a release before does, which knows of no order."""
        key, place = self._place(number)
        self._store.client.hset(place, key, "mx2rdn4e\x1fbounced: smtp_550_5.1.1")

    def remove_before(self, number: int) -> None:
        key, place = self._place(number)
        self._store.client.hdel(place, key)

    def _place(self, number: int) -> tuple[str, str]:
        return f"rcp_{number}", keys.suppressions(self._store.spread.tag(f"rcp_{number}"))

    def page(self, limit: int, after: str) -> Page:
        found = self._of.list(limit, after)
        return [key.removeprefix("rcp_") for key, _ in found.entries], found.next


class EndpointIds:
    """Endpoints of two tenants, of which one is listed or both are."""

    tenant: str | None = None

    def __init__(self, store: Store) -> None:
        self._store, self._of = store, Endpoints(store, CIPHER)

    def _made(self, number: int) -> Endpoint:
        tenant, tag = self.tenant or ("acme", "a*\x7f")[number % 2], self._store.spread.tag
        identity = next(one for n in count() if tag(one := f"ep_{number}-{n}") == tag(tenant))
        return Endpoint(identity, tenant, "https://example.org/hook", ("whsec_x",), ("*",))

    def add(self, number: int) -> None:
        made = self._made(number)
        if made.id not in self._of.get_many([made.id]):
            call = _swap_call("", _encode(_Stored(made, (None,)), CIPHER), made, self._store.spread)
            self._store.run(_sent([call]))

    def remove(self, number: int) -> None:
        made = self._made(number)
        if self._of.get_many([made.id]):
            self._of.remove(made.id)

    def add_before(self, number: int) -> None:
        made = self._made(number)
        tag = self._store.spread.tag(made.id)
        self._store.client.hset(keys.endpoints(tag), made.id, _encode(_Stored(made, (None,)), CIPHER))
        self._store.client.hset(keys.endpoints_of(made.tenant, tag), made.id, json.dumps(["enabled", "*"]))

    def remove_before(self, number: int) -> None:
        made = self._made(number)
        tag = self._store.spread.tag(made.id)
        self._store.client.hdel(keys.endpoints(tag), made.id)
        self._store.client.hdel(keys.endpoints_of(made.tenant, tag), made.id)

    def page(self, limit: int, after: str) -> Page:
        found = self._of.page(self.tenant, limit=limit, after=after)
        return [one.id.removeprefix("ep_").partition("-")[0] for one in found.endpoints], found.next


class EndpointsOfOne(EndpointIds):
    """Those of one tenant."""

    tenant = "acme"


class ParkedIds:
    """Entries of failure queues, many of one moment."""

    def __init__(self, store: Store) -> None:
        self._of = ParkedIndex(store)

    def add(self, number: int) -> None:
        self._of.add([Parked(f"dlv_{number}", "failed-email", Cause.REFUSED, "no", 1000.0 + number // 7)])

    def remove(self, number: int) -> None:
        self._of.remove([f"dlv_{number}"])

    add_before, remove_before = add, remove

    def page(self, limit: int, after: str) -> Page:
        found = self._of.search(ParkedFilter(), limit=limit, after=after)
        return [entry.id.removeprefix("dlv_") for entry in found.entries], found.cursor


_NUMBERS = st.integers(0, 40)
_STEP = st.tuples(st.sampled_from(["add", "remove", "add_before", "remove_before"]), _NUMBERS)


@pytest.mark.parametrize("kind", [SuppressedKeys, EndpointIds, EndpointsOfOne, ParkedIds])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.sets(_NUMBERS), st.lists(st.lists(_STEP, max_size=4), max_size=12), st.integers(1, 7), st.booleans())
def test_what_stays_is_seen_exactly_once(
    store: Store,
    kind: Callable[[Store], Any],
    begins: set[int],
    between: list[list[tuple[str, int]]],
    limit: int,
    is_old: bool,
) -> None:
    # Given a list, of this release or of one before
    store.client.flushdb()
    of = kind(store)
    for number in begins:
        (of.add_before if is_old else of.add)(number)
    touched, seen, after = set[int](), Counter[str](), ""
    # When it is read to its end, while others add and remove
    while True:
        found, after = of.page(limit, after)
        assert len(found) <= limit
        seen.update(found)
        if not after:
            break
        for verb, number in between.pop() if between else ():
            getattr(of, verb)(number)
            touched.add(number)
    # Then what was there all the time was seen once, and nothing more than once that was not put there again
    assert {str(number): seen[str(number)] for number in begins - touched} == dict.fromkeys(
        map(str, begins - touched), 1
    )
    assert all(seen[str(number)] == 0 for number in range(41) if number not in begins | touched)


def test_a_page_costs_the_same_however_many_there_are(store: Store) -> None:
    # Given a thousand endpoints, most of which a release before has stored
    of = EndpointIds(store)
    for number in range(1000):
        (of.add if number % 9 == 0 else of.add_before)(number)
    of.page(10, "")
    # When a page is read
    store.client.config_resetstat()
    found, _ = of.page(10, "ep_5")
    # Then nothing is read that is not on it
    assert len(found) == 10
    commands = store.client.info("commandstats")
    assert not {"cmdstat_hkeys", "cmdstat_hscan", "cmdstat_zscan", "cmdstat_hgetall"} & set(commands)
