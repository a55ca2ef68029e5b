"""What a load needs: in proportion to it, and never one of anything that may die."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.sizing.costs import Costs, Cpu, measured
from notifier.sizing.estimate import Load, estimate

GIB = 1024.0**3
COSTS = Costs(
    date="2026-01-01",
    machine="a machine",
    cpu_ms=Cpu(
        event={"consumer": 0.5, "broker": 0.1, "redis": 0.1},
        recipient={"consumer": 0.05, "broker": 0.01, "redis": 0.01},
        email={"worker": 1.0, "broker": 0.2, "redis": 0.1},
        webhook={"worker": 2.0, "broker": 0.2, "redis": 0.1},
    ),
    sent_bytes=300,
    failed_bytes=600,
    message_bytes=200,
    worker_mib=100,
    consumer_mib=80,
)
#: A delivery a millisecond.
A_THOUSAND_A_SECOND = 86_400_000.0


def test_cores_are_what_the_busiest_hour_takes() -> None:
    # Given a thousand mails a second, four thousand in the busiest hour
    load = Load(A_THOUSAND_A_SECOND, webhooks=0, peak=4)

    # When
    needs = estimate(load, COSTS, 64 * GIB)

    # Then
    assert (needs.deliveries_s, needs.events_s) == (4000, 4000)
    assert needs.worker_cores == pytest.approx(4.0)
    assert needs.workers == 7, "4 cores, 60 % of each"
    assert needs.consumer_cores == pytest.approx(2.0)
    assert needs.broker_cores == pytest.approx(1.2)
    assert needs.redis_cores == pytest.approx(0.8)


def test_recipients_of_one_event_are_planned_together() -> None:
    needs = estimate(Load(A_THOUSAND_A_SECOND, recipients=10, peak=1), COSTS, 64 * GIB)
    assert needs.events_s == pytest.approx(100)
    assert needs.consumer_cores == pytest.approx(100 * 0.5e-3 + 900 * 0.05e-3)
    assert needs.worker_cores == pytest.approx(1.5)


def test_memory_is_what_is_kept_and_not_what_the_busiest_hour_brings() -> None:
    load = Load(A_THOUSAND_A_SECOND, failed=0.1, sent_s=1000, failed_s=2000)
    needs = estimate(load, COSTS, 64 * GIB)
    assert needs.redis_bytes == pytest.approx(1000 * (0.9 * 1000 * 300 + 0.1 * 2000 * 600))
    assert estimate(replace(load, peak=9), COSTS, 64 * GIB).redis_bytes == needs.redis_bytes


def test_what_waits_in_an_outage_is_on_the_disk_of_the_broker() -> None:
    load = Load(A_THOUSAND_A_SECOND, recipients=10, peak=2, event_bytes=1000, outage_s=60)
    assert estimate(load, COSTS, 64 * GIB).broker_bytes == pytest.approx(60 * (2000 * 200 + 200 * 1000))


@pytest.mark.parametrize(
    ("server", "servers", "first"), [(1000 * GIB, 2, "the core of Redis"), (10 * GIB, 29, "the memory of Redis")]
)
def test_redis_is_divided_by_what_is_short_first(server: float, servers: int, first: str) -> None:
    needs = estimate(Load(A_THOUSAND_A_SECOND, failed=0, peak=4), COSTS, server)
    assert (needs.redis_servers, needs.first) == (servers, first)


@given(st.floats(1, 1e9), st.floats(0, 1), st.floats(1, 1e5), st.floats(1, 100), st.floats(0, 1))
def test_twice_as_much_needs_twice_as_much_and_the_least_is_two(
    a_day: float, webhooks: float, recipients: float, peak: float, failed: float
) -> None:
    load = Load(a_day, webhooks, recipients, peak, failed)
    once, twice = (estimate(one, COSTS, 64 * GIB) for one in (load, replace(load, deliveries_a_day=2 * a_day)))
    for field in ("worker_cores", "consumer_cores", "broker_cores", "redis_cores", "redis_bytes", "broker_bytes"):
        assert getattr(twice, field) == pytest.approx(2 * getattr(once, field))
    assert 2 <= once.workers <= twice.workers <= 2 * once.workers
    assert 2 <= once.consumers <= twice.consumers <= 2 * once.consumers
    assert 1 <= once.redis_servers <= twice.redis_servers


def test_the_costs_of_this_release_were_measured() -> None:
    costs = measured()
    assert {"consumer", "broker", "redis"} <= costs.cpu_ms.event.keys()
    assert {"worker", "broker", "redis"} <= costs.cpu_ms.email.keys() & costs.cpu_ms.webhook.keys()
    assert costs.failed_bytes > costs.sent_bytes
