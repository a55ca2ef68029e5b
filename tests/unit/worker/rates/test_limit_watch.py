"""The limits in force as a worker knows them."""

from collections.abc import Iterator

import pytest

from notifier.domain.limit import Scope, ScopeKind, parse_limits, parse_rate
from notifier.errors import StorageUnavailable
from notifier.storage.limits import Limits
from notifier.worker.rates.limit_watch import LimitWatch
from tests.unit.worker.doubles import Faults, World

RELAY = Scope(ScopeKind.RELAY, "mx:25")


@pytest.fixture
def watch(world: World) -> Iterator[LimitWatch]:
    watch = LimitWatch(Limits(world.store), parse_limits("relay=1/s")[0])
    yield watch
    watch.stop()


def rate(watch: LimitWatch) -> float | None:
    found, _ = watch.table.find(RELAY.kind, RELAY.name)
    return found and found.per_second


def test_what_is_configured_counts_from_the_first_batch_on(watch: LimitWatch) -> None:
    assert rate(watch) == 1


def test_what_was_changed_live_counts_after_a_look(world: World, watch: LimitWatch) -> None:
    Limits(world.store).set(RELAY, parse_rate("5/s"))
    assert rate(watch) == 1

    watch.look()
    assert rate(watch) == 5

    Limits(world.store).reset(RELAY)
    watch.look()
    assert rate(watch) == 1


def test_a_look_that_finds_nothing_new_makes_no_new_table(watch: LimitWatch) -> None:
    table = watch.table

    watch.look()

    assert watch.table is table


def test_while_redis_is_away_the_last_picture_counts(world: World) -> None:
    Limits(world.store).set(RELAY, parse_rate("5/s"))
    faults = Faults(1, StorageUnavailable("away"))
    watch = LimitWatch(faults.of(Limits(world.store)), {})

    watch.look()

    assert (rate(watch), faults.calls) == (5, 2)
    watch.stop()
