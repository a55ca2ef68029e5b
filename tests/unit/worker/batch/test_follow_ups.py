"""What follows the tries of a batch is in the broker and in Redis when `follow` returns."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from notifier.channels.port import Ready, Withheld, Work
from notifier.domain.batch import Batch
from notifier.domain.delivery import Attempt, Status, with_digest
from notifier.domain.endpoint import EndpointState
from notifier.domain.ids import recipient_key
from notifier.domain.outcome import Cause, Park
from notifier.domain.retry import RetryIn
from notifier.domain.rule import Channel
from notifier.errors import BrokerUnavailable, PublishRejected, StorageUnavailable
from notifier.worker import outage
from notifier.worker.batch.follow_ups import REASON_LIMIT, FollowUps
from notifier.worker.batch.sender import Settled
from notifier.worker.decision import Decision
from tests.unit.worker.digests.windows import digest_batch
from tests.unit.worker.doubles import EVENT, Faults, World, batch_of


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "_STEPS_S", (0.0,))


def settled(work: Work, status: Status, **of_decision: Any) -> Settled:
    attempt = Attempt(1, time.time(), 0.1, "refused", "smtp_550_5.1.1", "550 no", "w1")
    to = work.delivery.to
    ready = Ready(work, None, "hash", getattr(to, "address", ""))
    return Settled(ready, Decision(status, "why", attempt, **of_decision))


def follow(world: World, batch: Batch, ended: list[Settled], withheld: Sequence[Withheld] = (), **options: Any) -> None:
    FollowUps(world.stores(), world.broker, **options).follow(batch, ended, withheld, [])


def test_retries_that_are_due_together_travel_together_and_say_how_often_they_were_tried(world: World) -> None:
    # Given three deferred deliveries, two of which are due at the same time, and one to look at again
    batch = batch_of("dlv_a", "dlv_b", "dlv_c", "dlv_d", waited="t")
    work = world.claimed(batch)
    ended = [
        settled(one, Status.DEFERRED, follow=RetryIn(seconds))
        for one, seconds in zip(work[:3], (30, 60, 30), strict=True)
    ]

    FollowUps(world.stores(), world.broker).follow(batch, ended, [], [(batch.deliveries[3], 60)])

    queued = [(after, [(one.id, one.attempt) for one in made.deliveries]) for made, after in world.broker.queued]
    assert queued == [(60, [("dlv_d", 0)]), (30, [("dlv_a", 1), ("dlv_c", 1)]), (60, [("dlv_b", 1)])]
    # Whoever has waited in a rate limit's line for one try waits anew for the next
    assert {one.id: one.waited for made, _ in world.broker.queued for one in made.deliveries} == {
        "dlv_a": "",
        "dlv_b": "",
        "dlv_c": "",
        "dlv_d": "t",
    }


def test_what_failed_for_good_is_published_to_its_failure_queue_and_indexed(world: World) -> None:
    batch = batch_of("dlv_a")
    ended = settled(
        world.claimed(batch)[0], Status.REFUSED, follow=Park(Cause.BAD_RECIPIENT, "550 " + "x" * 999, "smtp_550")
    )

    follow(world, batch, [ended])

    ((queue, parked),) = world.broker.parked
    (entry,) = parked.parked
    assert (queue, entry.cause, entry.code, entry.attempts, entry.template) == (
        "failed-email",
        Cause.BAD_RECIPIENT,
        "smtp_550",
        1,
        "hash",
    )
    assert len(entry.reason) == REASON_LIMIT
    assert (entry.event, entry.tenant, entry.destination) == (EVENT.key, "acme", "d…@example.org")
    assert world.known_as_parked() == ["dlv_a"]


@pytest.mark.parametrize("error", [StorageUnavailable("away"), BrokerUnavailable("away"), PublishRejected("full")])
@pytest.mark.parametrize("after", [False, True], ids=["unheard", "unanswered"])
def test_an_outage_at_any_step_leaves_nothing_out(world: World, error: Exception, after: bool) -> None:
    # Given a batch with a retry and a park, and in how many steps both are done
    def run(name: str, faults: Faults) -> None:
        batch = batch_of(f"{name}_a", f"{name}_b")
        first, second = world.claimed(batch)
        ended = [
            settled(first, Status.DEFERRED, follow=RetryIn(5)),
            settled(second, Status.REFUSED, follow=Park(Cause.REFUSED, "no", "")),
        ]
        FollowUps(world.stores(faults), faults.of(world.broker)).follow(batch, ended, [], [])

    calm = Faults()
    run("calm", calm)

    for step in range(calm.calls):
        # When one of them fails once
        run(f"s{step}", Faults(step, error, after))

        # Then the retry is queued, the other one is parked, and people find it
        assert f"s{step}_a" in [one.id for batch, _ in world.broker.queued for one in batch.deliveries]
        assert f"s{step}_b" in [one.id for _, parked in world.broker.parked for one in parked.parked]
        assert f"s{step}_b" in world.known_as_parked()


def test_an_address_that_is_gone_is_suppressed_with_the_code_that_said_so(world: World) -> None:
    batch = batch_of("dlv_a")

    follow(world, batch, [settled(world.claimed(batch)[0], Status.REFUSED, suppress=True)])

    key = recipient_key("dlv_a@example.org")
    assert world.suppressions.get_many([key])[key].reason("", transactional=True) == "bounced: smtp_550_5.1.1"


def test_an_endpoint_that_is_gone_is_disabled_and_an_event_tells_it_once_for_each_delivery(world: World) -> None:
    endpoint = world.endpoints.add("acme", "https://a.example/")
    batch = batch_of("dlv_a", rule="order.shipped/hook", kind=Channel.WEBHOOK, endpoint=endpoint.id)
    gone = settled(world.claimed(batch)[0], Status.REFUSED, disable_endpoint=True)

    follow(world, batch, [gone])
    follow(world, batch, [gone])

    known = world.endpoints.get_many([endpoint.id])[endpoint.id]
    assert known.state is EndpointState.DISABLED
    assert {(event["id"], event["type"], event["tenant"]) for event in world.broker.events} == {
        ("dlv_a-disabled", "notifier.endpoint.disabled", "acme")
    }


def test_of_an_endpoint_that_was_removed_meanwhile_nobody_is_told(world: World) -> None:
    batch = batch_of("dlv_a", rule="order.shipped/hook", kind=Channel.WEBHOOK, endpoint="ep_gone")

    follow(world, batch, [settled(world.claimed(batch)[0], Status.REFUSED, disable_endpoint=True)])

    assert world.broker.events == []


def test_who_has_failed_for_days_is_disabled_with_the_days(world: World) -> None:
    endpoint = world.endpoints.add("acme", "https://a.example/")

    FollowUps(world.stores(), world.broker).disable_failing(endpoint, time.time() - 5 * 86400, "http_500")

    (event,) = world.broker.events
    assert event["data"] == {"endpoint": endpoint.id, "reason": "failed for 5.0 days, last: http_500"}


def test_what_was_skipped_for_a_disabled_endpoint_is_kept_up_to_a_number(world: World) -> None:
    # Given room for one
    def skip(*ids: str) -> None:
        batch = batch_of(*ids, rule="order.shipped/hook", kind=Channel.WEBHOOK, endpoint="ep_1")
        withheld = [
            Withheld(one, Status.SKIPPED, "disabled", Park(Cause.ENDPOINT_DISABLED, "disabled", ""))
            for one in world.claimed(batch)
        ]
        withheld[-1] = replace(withheld[-1], park=Park(Cause.RULE_MISSING, "no rule", ""))
        follow(world, batch, [], withheld, kept_most=1)

    # When there is none yet, and then more
    skip("dlv_a", "dlv_b")
    skip("dlv_c", "dlv_d")

    # Then what comes beyond is not parked, and what failed for another reason is
    assert world.known_as_parked() == ["dlv_a", "dlv_b", "dlv_d"]


@pytest.mark.parametrize(
    ("status", "items"),
    [(Status.SENT, Status.SENT), (Status.REFUSED, Status.REFUSED), (Status.DEFERRED, Status.HELD)],
)
def test_the_items_of_a_digest_end_as_it_does_or_wait_on(world: World, status: Status, items: Status) -> None:
    batch = digest_batch(world, "dlv_i", "dlv_j")
    (work,) = world.claimed(batch)

    follow(world, batch, [settled(work, status)])

    assert world.statuses("dlv_i", "dlv_j") == [items, items]


def test_the_items_of_a_digest_that_is_withheld_end_with_its_reason(world: World) -> None:
    batch = digest_batch(world, "dlv_i")
    (work,) = world.claimed(batch)

    follow(world, batch, [], [Withheld(work, Status.SUPPRESSED, "bounced")])

    assert world.record("dlv_i").status is Status.SUPPRESSED
    assert world.record("dlv_i").reason == with_digest(work.delivery.id, "bounced")
