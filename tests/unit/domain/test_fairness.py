"""Which tenants travel in a shard: those with much under way, while they have it, and nobody else."""

from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.fairness import TenantShares, shard_of
from notifier.domain.rule import SHARDS, Channel, Priority

LANE = (Channel.EMAIL, Priority.LOW)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def shares(clock: Clock, crowded: list[str] | None = None) -> TenantShares:
    heard: list[str] = [] if crowded is None else crowded
    return TenantShares(clock, burst=10, rate=2, on_crowded=lambda channel, priority, tenant: heard.append(tenant))


def planned(of: TenantShares, tenant: str, count: int, lane: tuple[Channel, Priority] = LANE) -> list[int]:
    return [of.shard(*lane, tenant) for _ in range(count)]


def test_a_burst_stays_in_the_lanes_own_queue_and_the_rest_goes_to_the_tenants_shard() -> None:
    # Given a tenant that plans 25 deliveries at once, where ten are a burst
    crowded: list[str] = []
    found = planned(shares(Clock(), crowded), "acme", 25)

    # Then ten stay, the others share one shard, and somebody hears of it once
    assert found == [0] * 10 + [shard_of("acme")] * 15
    assert crowded == ["acme"]


def test_a_crowded_tenant_changes_nothing_for_the_others() -> None:
    of = shares(Clock())
    planned(of, "acme", 1000)
    assert planned(of, "beta", 1) == [0]


def test_a_tenant_crowded_in_one_lane_is_not_in_another() -> None:
    of = shares(Clock())
    planned(of, "acme", 1000)
    assert planned(of, "acme", 1, (Channel.EMAIL, Priority.HIGH)) == [0]


def test_a_tenant_below_the_rate_is_never_crowded() -> None:
    # Given two deliveries a second, which is the rate, for ten minutes
    clock, found = Clock(), list[int]()
    of = shares(clock)
    for _ in range(1200):
        clock.now += 0.5
        found += planned(of, "acme", 1)
    assert set(found) == {0}


def test_a_steady_flood_is_not_cut_into_two_queues() -> None:
    # Given a tenant that is crowded and goes on at four times the rate
    clock, found = Clock(), list[int]()
    of = shares(clock)
    planned(of, "acme", 11)
    for _ in range(200):
        clock.now += 0.125
        found += planned(of, "acme", 1)

    # Then all of it is in one shard
    assert set(found) == {shard_of("acme")}


def test_a_tenant_that_has_been_calm_is_like_any_other_again() -> None:
    # Given a crowded tenant that rests until half a burst has leaked away
    clock = Clock()
    of = shares(clock)
    planned(of, "acme", 1000)
    clock.now += 2.4
    assert planned(of, "acme", 1) != [0]
    clock.now += 2.6 + 0.5

    # Then its next delivery waits with everybody else's
    assert planned(of, "acme", 1) == [0]


def test_calm_tenants_are_forgotten_and_crowded_ones_are_not() -> None:
    # Given one crowded tenant, and more others than are remembered, each of them once
    clock = Clock()
    of = shares(clock)
    planned(of, "acme", 1000)
    for number in range(25_000):
        clock.now += 0.0001
        of.shard(*LANE, f"tenant-{number}")

    # Then the crowded one still is, and the memory used is bounded
    assert planned(of, "acme", 1) == [shard_of("acme")]
    assert len(of._levels) <= 10_001


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), max_size=200))
def test_no_tenant_ever_has_more_than_its_burst_and_rate_in_the_lanes_own_queue(steps: list[tuple[str, float]]) -> None:
    clock = Clock()
    of = shares(clock)
    own: dict[str, int] = {}
    for tenant, pause in steps:
        clock.now += pause
        own[tenant] = own.get(tenant, 0) + (of.shard(*LANE, tenant) == 0)
        assert own[tenant] <= 10 + 2 * (clock.now - 1000.0) + 1


@given(st.text())
def test_every_tenant_has_a_shard_that_is_read(tenant: str) -> None:
    assert 1 <= shard_of(tenant) <= SHARDS
