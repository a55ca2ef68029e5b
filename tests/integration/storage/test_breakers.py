"""Breakers that many workers share."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from notifier.domain.breaker import LEAST_FAILURES, Breaker, Observed
from notifier.storage import keys
from notifier.storage.breakers import Breakers, decode_breaker, encode_breaker
from notifier.storage.store import Store
from tests.integration.storage.making import Clock

FAILED = Observed(failed=1, code="timeout")


@pytest.fixture
def breakers(store: Store, clock: Clock) -> Breakers:
    return Breakers(store, clock)


def there(store: Store, endpoint: str) -> Breaker | None:
    return decode_breaker(store.client.hget(keys.endpoint_breakers(store.spread.tag(endpoint)), endpoint))  # type: ignore[arg-type]


def test_what_several_workers_see_at_once_is_counted_together(breakers: Breakers, store: Store) -> None:
    # When ten see one failure each, none of whom knows of the others
    with ThreadPoolExecutor(10) as workers:
        list(workers.map(lambda _: breakers.observe({"ep_a": FAILED}, {}), range(10)))

    # Then nothing was lost: it opened at the fifth, and none of the others closed or forgot it
    found = there(store, "ep_a")
    assert found is not None
    assert found.is_open
    assert found.failed == LEAST_FAILURES


def test_exactly_one_of_many_workers_probes(breakers: Breakers, store: Store, clock: Clock) -> None:
    # Given an endpoint whose time is up, as every worker has read it
    breakers.observe({"ep_a": Observed(failed=1, wait=10)}, {})
    clock.now += 10
    known = there(store, "ep_a")
    assert known is not None

    # When twenty want to probe it
    with ThreadPoolExecutor(20) as workers:
        allowed = list(workers.map(lambda n: breakers.begin_probe("ep_a", known, f"worker-{n}", 30), range(20)))

    # Then one may
    assert allowed.count(True) == 1


def test_opening_and_closing_are_told_to_the_one_who_did_it(breakers: Breakers, store: Store, clock: Clock) -> None:
    # When an endpoint opens
    changed = breakers.observe({"ep_a": Observed(failed=LEAST_FAILURES), "ep_b": FAILED}, {})
    assert (changed["ep_a"].opened, changed["ep_b"].opened) == (True, False)
    late = breakers.observe({"ep_a": FAILED}, {"ep_a": changed["ep_a"].after})
    assert not late["ep_a"].opened

    # And its probe succeeds
    clock.now += 60
    known = there(store, "ep_a")
    assert known is not None
    assert breakers.begin_probe("ep_a", known, "mine", 30)
    closed = breakers.observe({"ep_a": Observed(ok=1, probe="mine")}, {"ep_a": known})

    # Then that is told too, and nothing is left of it
    assert closed["ep_a"].closed
    assert there(store, "ep_a") is None
    breakers.clear(["ep_b"])
    assert there(store, "ep_b") is None


def test_what_was_read_saves_a_round_trip_and_what_is_outdated_costs_one(breakers: Breakers, store: Store) -> None:
    first = breakers.observe({"ep_a": FAILED}, {})["ep_a"].after
    before = store.round_trips
    second = breakers.observe({"ep_a": FAILED}, {"ep_a": first})["ep_a"].after
    assert store.round_trips - before == 1
    third = breakers.observe({"ep_a": FAILED}, {"ep_a": first})["ep_a"].after
    assert store.round_trips - before == 3
    assert [b.failed for b in (first, second, third) if b] == [1, 2, 3]


def test_what_another_release_wrote_is_nothing_to_remember(breakers: Breakers, store: Store) -> None:
    store.client.hset(keys.endpoint_breakers(store.spread.tag("ep_a")), "ep_a", "[9]")
    changed = breakers.observe({"ep_a": FAILED}, {})["ep_a"]
    assert changed.before is None
    assert there(store, "ep_a") == changed.after
    assert decode_breaker(encode_breaker(changed.after)) == changed.after
