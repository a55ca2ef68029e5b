"""One worker's part in finding the rates that relays and domains bear."""

from typing import Any

import pytest

from notifier.domain.limit import Scope, ScopeKind, parse_limits
from notifier.engine.rate_watch import Complaint
from notifier.errors import StorageUnavailable
from notifier.limits.table import LimitTable
from notifier.storage.adaptive import CUT_APART_S, RAISE_APART_S, AdaptiveRates
from notifier.storage.limits import Limits
from notifier.worker.rates.adaptive import LOOK_S, AdaptiveLimits
from tests.unit.engine.factories import Clock
from tests.unit.worker.doubles import Faults, World

RELAY = Scope(ScopeKind.RELAY, "mx:25")


class Watch:
    """What the engine has heard, as a test says."""

    def __init__(self) -> None:
        self.heard: list[Complaint] = []
        self.through: list[Scope] = []

    def complaints(self) -> list[Complaint]:
        heard, self.heard = self.heard, []
        return heard

    def went_through(self, scopes: Any) -> list[Scope]:
        return [scope for scope in self.through if scope in scopes]


class Bench:
    def __init__(self, world: World, faults: Faults | None = None, configured: str = "") -> None:
        faults = faults or Faults()
        self.watch, self.clock, self.limits = Watch(), Clock(), Limits(world.store)
        self.rates = faults.of(AdaptiveRates(world.store))
        table = LimitTable(parse_limits(configured)[0] if configured else {})
        watch: Any = self.watch
        self.adaptive = AdaptiveLimits(watch, self.rates, faults.of(self.limits), lambda: table, self.clock)

    def complain(self, measured: float = 100.0) -> None:
        self.watch.heard.append(Complaint(RELAY, measured, "slow down"))
        self.adaptive.follow()

    def rate(self) -> float | None:
        found = self.limits.adapted().get(RELAY)
        return found and found.factor * (found.learned.per_second if found.learned else 1.0)


def test_a_complaint_slows_all_workers_down_to_half_of_what_went_through(world: World) -> None:
    bench = Bench(world)

    bench.complain(100.0)

    assert bench.rate() == pytest.approx(50.0)


def test_of_a_configured_rate_half_is_in_force(world: World) -> None:
    bench = Bench(world, configured="relay=20/s")

    bench.complain(20.0)

    found = bench.limits.adapted()[RELAY]
    assert (found.factor, found.learned) == (0.5, None)


def test_complaints_about_what_was_under_way_cut_once(world: World) -> None:
    bench = Bench(world)
    bench.complain()

    bench.complain()
    assert bench.rate() == pytest.approx(50.0)


def test_what_goes_through_raises_it_again_but_not_at_once(world: World) -> None:
    bench = Bench(world)
    bench.complain()
    bench.watch.through = [RELAY]
    raised: list[Any] = []
    raise_ = bench.rates.raise_
    bench.adaptive._rates = type("Rates", (), {"raise_": lambda _, scopes: raised.append(scopes) or raise_(scopes)})()

    bench.adaptive.follow()
    assert raised == []
    bench.clock.now += CUT_APART_S
    bench.adaptive.follow()
    bench.adaptive.follow()
    assert raised == [[RELAY]]
    bench.clock.now += RAISE_APART_S
    bench.adaptive.follow()
    assert len(raised) == 2


def test_what_another_worker_has_slowed_down_is_seen_within_seconds(world: World) -> None:
    bench, other = Bench(world), Bench(world)
    bench.adaptive.follow()
    other.complain()

    bench.clock.now += LOOK_S
    bench.adaptive.follow()

    assert bench.adaptive._slowed == {RELAY}


def test_while_nobody_complains_most_batches_ask_nobody(world: World) -> None:
    bench = Bench(world)
    bench.adaptive.follow()
    before = world.store.round_trips

    for _ in range(10):
        bench.adaptive.follow()

    assert world.store.round_trips == before


def test_an_outage_stops_no_batch(world: World) -> None:
    bench = Bench(world, Faults(0, StorageUnavailable("away")))

    bench.complain()
    assert bench.rate() is None
    bench.complain()
    assert bench.rate() is not None
