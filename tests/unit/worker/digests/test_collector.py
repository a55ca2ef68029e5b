"""Items go into their windows, and windows that are due become one mail each: with outages and deaths at every step."""

import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from notifier.domain.batch import MAX_DELIVERIES, Batch
from notifier.domain.delivery import WAITS_FOR_DIGEST, Mailbox, Status
from notifier.domain.outcome import Cause
from notifier.domain.rule import Channel
from notifier.domain.waiting import RawBatch
from notifier.errors import BrokerUnavailable, InvalidBatch, StorageUnavailable
from notifier.rules.content import Content
from notifier.worker import outage
from notifier.worker.digests import collector as collecting
from notifier.worker.digests.collector import Collector
from tests.unit.worker.digests.windows import NEWS, item_batch
from tests.unit.worker.doubles import Faults, WorkerDied, World

#: Seconds after which the windows of these tests are due.
WINDOW_S = 60.0


class Clock:
    """The worker's, which a test sets."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(collecting, "now", clock)
    monkeypatch.setattr(outage, "_STEPS_S", (0.0,))
    return clock


def hire(world: World, owner: str = "w1", faults: Faults | None = None, content: Content | None = None) -> Collector:
    """A worker that collects; several share the same Redis and broker."""
    faults = faults or Faults()
    world.ledger.heartbeat(owner, 60.0)
    stores, broker = world.stores(faults), faults.of(world.broker)
    return Collector(
        content=cast(Any, SimpleNamespace(current=content or world.content)),
        stores=stores,
        digests=faults.of(world.digests),
        publisher=broker,
        owner=owner,
    )


def raw(batch: Batch) -> RawBatch:
    return RawBatch.read(batch.encode())


def sent(world: World) -> list[list[str]]:
    """The items of each digest that was queued, those that came twice included."""
    return [list(one.digest.deliveries) for batch, _ in world.broker.queued for one in batch.deliveries if one.digest]


def test_items_wait_in_one_window_and_leave_as_one_mail(world: World, clock: Clock) -> None:
    worker = hire(world)

    worker.run(raw(item_batch("dlv_i", "dlv_j")))
    worker.run(raw(item_batch("dlv_k")))

    assert world.statuses("dlv_i", "dlv_j", "dlv_k") == [Status.HELD] * 3
    assert world.record("dlv_i").reason == WAITS_FOR_DIGEST
    assert worker.sweep() == 0

    clock.now += WINDOW_S
    assert worker.sweep() == 1
    ((batch, after),) = world.broker.queued
    (digest,) = batch.deliveries
    assert (batch.channel, after, digest.rule) == (Channel.EMAIL, 0, NEWS)
    assert sent(world) == [["dlv_i", "dlv_j", "dlv_k"]]
    assert worker.sweep() == 0


def test_an_item_whose_task_comes_twice_is_in_its_digest_once(world: World, clock: Clock) -> None:
    worker = hire(world)

    worker.run(raw(item_batch("dlv_i")))
    worker.run(raw(item_batch("dlv_i")))

    clock.now += WINDOW_S
    worker.sweep()
    assert sent(world) == [["dlv_i"]]


def test_what_has_expired_on_its_way_joins_no_window(world: World, clock: Clock) -> None:
    worker = hire(world)

    worker.run(raw(item_batch("dlv_late", expires=clock.now)))
    worker.run(raw(item_batch("dlv_i", expires=clock.now + 1000)))

    clock.now += WINDOW_S
    worker.sweep()
    assert world.statuses("dlv_late", "dlv_i") == [Status.EXPIRED, Status.HELD]
    assert sent(world) == [["dlv_i"]]


@pytest.mark.parametrize("rule", ["order.shipped/newer", "order.shipped/mail"], ids=["unknown", "without a window"])
def test_an_item_of_a_rule_that_collects_nothing_is_parked_with_its_rule(world: World, clock: Clock, rule: str) -> None:
    hire(world).run(raw(item_batch("dlv_i", rule=rule)))

    ((queue, parked),) = world.broker.parked
    assert (queue, parked.parked[0].cause, rule in parked.parked[0].reason) == (
        "failed-digest",
        Cause.RULE_MISSING,
        True,
    )
    assert world.known_as_parked() == ["dlv_i"]
    assert world.statuses("dlv_i") == [Status.REFUSED]


def test_what_another_worker_has_is_looked_at_again(world: World, clock: Clock) -> None:
    world.claimed(item_batch("dlv_i"), "w2")

    hire(world).run(raw(item_batch("dlv_i", "dlv_j")))

    ((again, after),) = world.broker.queued
    assert ([one.id for one in again.deliveries], after) == (["dlv_i"], 30)
    assert world.statuses("dlv_j") == [Status.HELD]


def test_a_window_whose_rule_is_gone_waits_for_it_and_holds_up_nobody(world: World, clock: Clock) -> None:
    # Given windows of two rules, one of which the sweeping worker does not have
    worker = hire(world)
    worker.run(raw(item_batch("dlv_i")))
    without = cast(Any, SimpleNamespace(catalog=SimpleNamespace(rule=lambda _: None)))
    clock.now += WINDOW_S

    hire(world, content=without).sweep()
    assert sent(world) == []

    # When it is back
    clock.now += 2 * WINDOW_S
    worker.sweep()

    assert sent(world) == [["dlv_i"]]


def test_a_batch_that_nobody_can_read_is_taken_apart_and_one_alone_fails(world: World, clock: Clock) -> None:
    wire = item_batch("dlv_i", "dlv_j").encode()
    wire["deliveries"][1]["rule"] = 7

    hire(world).run(RawBatch.read(wire))

    assert [one.id for batch, _ in world.broker.queued for one in batch.deliveries] == ["dlv_i"]
    assert len(world.broker.unreadable) == 1
    alone = {**wire, "deliveries": wire["deliveries"][1:]}
    with pytest.raises(InvalidBatch):
        hire(world).run(RawBatch.read(alone))


@pytest.mark.parametrize("error", [StorageUnavailable("away"), BrokerUnavailable("away")], ids=["redis", "broker"])
@pytest.mark.parametrize("after", [False, True], ids=["unheard", "unanswered"])
def test_an_outage_at_any_step_changes_nothing_of_what_is_sent(
    world: World, clock: Clock, error: Exception, after: bool
) -> None:
    # Given in how many steps an item is collected and its digest sent
    calm = Faults()
    worker = hire(world, faults=calm)
    worker.run(raw(item_batch("dlv_calm")))
    clock.now += WINDOW_S
    worker.sweep()

    for step in range(calm.calls):
        # When one of the steps fails once
        worker = hire(world, faults=Faults(step, error, after))
        worker.run(raw(item_batch(f"dlv_{step}")))
        clock.now += WINDOW_S
        worker.sweep()

        # Then its digest has it, and nobody comes back to it
        assert [f"dlv_{step}"] in sent(world), f"step {step}"
        clock.now += 10 * WINDOW_S
        assert worker.sweep() == 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_worker_that_dies_at_any_step_leaves_what_the_next_one_finishes(
    world: World, clock: Clock, after: bool
) -> None:
    # Given in how many steps an item is collected and its digest sent
    calm = Faults()
    worker = hire(world, faults=calm)
    worker.run(raw(item_batch("dlv_calm")))
    clock.now += WINDOW_S
    worker.sweep()

    for step in range(calm.calls):
        # When a worker dies at one of them, its task comes back, and another one sweeps
        name, dead = f"dlv_{step}", f"dead-{step}"
        dying = hire(world, dead, Faults(step, WorkerDied(), after))
        with suppress(WorkerDied):
            dying.run(raw(item_batch(name)))
            clock.now += WINDOW_S
            dying.sweep()
        world.ledger.farewell(dead)
        next_one = hire(world, f"next-{step}")
        next_one.run(raw(item_batch(name)))
        clock.now += 2 * WINDOW_S
        next_one.sweep()

        # Then a digest has it: perhaps the same digest twice, which its claim makes one mail
        ids = {batch.deliveries[0].id for batch, _ in world.broker.queued if [name] in sent_of(batch)}
        assert len(ids) == 1, f"step {step}"


def sent_of(batch: Batch) -> list[list[str]]:
    return [list(one.digest.deliveries) for one in batch.deliveries if one.digest]


def test_many_windows_leave_in_few_tasks(world: World, clock: Clock) -> None:
    # Given windows of many people, which are due together
    worker, people = hire(world), 2 * MAX_DELIVERIES
    for number in range(people):
        batch = item_batch(f"dlv_{number}")
        to = Mailbox(address=f"p{number}@example.org")
        one = batch.deliveries[0].model_copy(update={"to": to})
        worker.run(raw(batch.model_copy(update={"deliveries": [one]})))

    # When one sweep runs
    clock.now += WINDOW_S
    assert worker.sweep() == people

    # Then each has a mail with its own item, and they travel together
    assert sorted(sent(world)) == sorted([f"dlv_{number}"] for number in range(people))
    assert len(world.broker.queued) == people // MAX_DELIVERIES


def test_a_sweep_does_not_begin_while_one_runs_in_the_same_process(world: World, clock: Clock) -> None:
    # Given a sweep that is publishing
    worker = hire(world)
    worker.run(raw(item_batch("dlv_i")))
    clock.now += WINDOW_S
    beside = list[int]()
    send = world.broker.send

    def sweeping(batch: Batch, *, after: int = 0) -> None:
        beside.append(worker.sweep())
        send(batch, after=after)

    world.broker.send = sweeping  # type: ignore[method-assign, assignment]

    # Then another one leaves the work to it, and the next one finds the door open
    assert worker.sweep() == 1
    assert beside == [0]
    worker.run(raw(item_batch("dlv_j")))
    clock.now += WINDOW_S
    assert worker.sweep() == 1
