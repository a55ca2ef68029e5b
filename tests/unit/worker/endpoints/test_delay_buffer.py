"""What cannot be sent waits delayed in the broker, or aside for long; few messages for many of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from notifier.domain.delivery import Status
from notifier.domain.look_again import NotNow
from notifier.domain.rule import Channel, Priority
from notifier.domain.waiting import RawBatch
from notifier.errors import BrokerUnavailable, StorageUnavailable
from notifier.storage.held import HeldIndex
from notifier.worker import outage
from notifier.worker.endpoints import delay_buffer
from notifier.worker.endpoints.delay_buffer import DelayBuffer, read_ended
from notifier.worker.policy import Blocked
from tests.unit.worker.doubles import Faults, World, batch_of

PAUSED = Blocked("the endpoint is paused", None)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delay_buffer, "GATHER_S", 0.001)
    monkeypatch.setattr(outage, "_STEPS_S", (0.0,))


class Bench:
    """A buffer with what it writes to."""

    def __init__(self, world: World, faults: Faults | None = None, **options: Any) -> None:
        faults = faults or Faults()
        self.world, self.index = world, HeldIndex(world.store)
        self.buffer = DelayBuffer(faults.of(world.ledger), faults.of(self.index), faults.of(world.broker), **options)

    def put(self, why: Blocked, *ids: str, endpoint: str = "ep_1") -> Any:
        batch = batch_of(*ids, rule="order.shipped/hook", kind=Channel.WEBHOOK, endpoint=endpoint)
        _, waiting = RawBatch.read(batch.encode()).split(dict.fromkeys(range(len(ids)), why.why is None))
        return self.buffer.put(Priority.NORMAL, 0, [(one, why) for one in waiting])

    def queued(self) -> list[tuple[list[str], int]]:
        return [([one.id for one in batch.deliveries], after) for batch, after in self.world.broker.queued]


@pytest.fixture
def bench(world: World) -> Iterator[Bench]:
    bench = Bench(world)
    yield bench
    bench.buffer.stop()


def test_what_several_batches_cannot_send_travels_in_one_message_and_is_held(bench: Bench) -> None:
    puts = [bench.put(Blocked("it rests", NotNow.OPEN, 3.0), name) for name in ("dlv_a", "dlv_b", "dlv_c")]
    for one in puts:
        assert one() == []

    assert bench.queued() == [(["dlv_a", "dlv_b", "dlv_c"], 4)]
    assert bench.world.statuses("dlv_a", "dlv_b", "dlv_c") == [Status.HELD] * 3
    assert bench.world.record("dlv_a").reason == "it rests"


def test_what_waits_for_a_person_is_put_aside_and_can_be_counted(bench: Bench) -> None:
    bench.put(PAUSED, "dlv_a", "dlv_b")()

    ((queue, parked),) = bench.world.broker.parked
    assert (queue, [one.id for one in parked.parked]) == ("held-webhook", ["dlv_a", "dlv_b"])
    assert bench.index.counts(["ep_1"]) == {"ep_1": 2}
    assert bench.queued() == []


def test_what_had_ended_is_put_nowhere_and_told_with_its_end(bench: Bench) -> None:
    bench.world.ended(batch_of("dlv_a", kind=Channel.WEBHOOK, endpoint="ep_1"), Status.SENT)

    ended = bench.put(Blocked("it rests", NotNow.OPEN, 3.0), "dlv_a", "dlv_b")()

    assert [ids for ids, _ in bench.queued()] == [["dlv_b"]]
    ((batch, told),) = read_ended(ended, Priority.NORMAL, 0)
    assert [(one.id, status) for one, status in told] == [("dlv_a", Status.SENT)]
    assert [one.id for one in batch.deliveries] == ["dlv_a"]


def test_beyond_what_is_kept_for_an_endpoint_deliveries_end_and_others_stay(world: World) -> None:
    bench = Bench(world, most=2)
    bench.put(PAUSED, "dlv_a", "dlv_b")()

    bench.put(PAUSED, "dlv_c")()
    bench.put(PAUSED, "dlv_d", endpoint="ep_2")()
    bench.buffer.stop()

    assert world.statuses("dlv_a", "dlv_c", "dlv_d") == [Status.HELD, Status.SKIPPED, Status.HELD]
    assert bench.index.counts(["ep_1", "ep_2"]) == {"ep_1": 2, "ep_2": 1}


def test_copies_are_delayed_by_not_less_than_was_asked_and_the_ledger_is_not_told(bench: Bench) -> None:
    batch = batch_of("dlv_a", kind=Channel.WEBHOOK, endpoint="ep_1")
    _, waiting = RawBatch.read(batch.encode()).split({0: False})

    bench.buffer.send_later(Priority.HIGH, 0, waiting, 17.2)

    assert bench.queued() == [(["dlv_a"], 18)]
    assert bench.world.ledger.deliveries(["dlv_a"]) == [None]


@pytest.mark.parametrize("error", [StorageUnavailable("away"), BrokerUnavailable("away")], ids=["redis", "broker"])
@pytest.mark.parametrize("why", [PAUSED, Blocked("it rests", NotNow.OPEN, 3.0)], ids=["aside", "delayed"])
@pytest.mark.parametrize("after", [False, True], ids=["unheard", "unanswered"])
def test_an_outage_at_any_step_loses_nothing(world: World, error: Exception, why: Blocked, after: bool) -> None:
    calm = Faults()
    first = Bench(world, calm)
    first.put(why, "calm")()
    first.buffer.stop()

    for step in range(calm.calls):
        bench, name = Bench(world, Faults(step, error, after)), f"dlv_{step}"
        bench.put(why, name)()
        bench.buffer.stop()
        there = [ids for ids, _ in bench.queued()] + [[one.id for one in p.parked] for _, p in world.broker.parked]
        assert [name] in there, f"step {step}"
        assert world.statuses(name) == [Status.HELD]
        assert why is not PAUSED or name in [one.id for one in bench.index.of("ep_1")]


def test_a_bug_is_told_to_each_batch_and_the_next_one_goes(world: World) -> None:
    bench = Bench(world, Faults(0, KeyError("a bug")))

    with pytest.raises(KeyError):
        bench.put(PAUSED, "dlv_a")()
    bench.put(PAUSED, "dlv_b")()
    bench.buffer.stop()

    assert bench.index.counts(["ep_1"]) == {"ep_1": 1}
