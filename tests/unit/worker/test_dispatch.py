"""The procedure for one batch, without processes: a fake channel, a real Redis, a broker that only remembers."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gevent
import pytest

from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, DeliveryRecord, Mailbox, Status
from notifier.domain.event import Event
from notifier.domain.ids import recipient_key
from notifier.domain.look_again import NotNow, look_again
from notifier.domain.outcome import Cause, Deferred, NotTried, Refused
from notifier.domain.retry import RetrySchedule
from notifier.domain.rule import Channel, Priority
from notifier.domain.suppression import bounced
from notifier.domain.waiting import RawBatch
from notifier.engine.bridge import Engine
from notifier.errors import BrokerUnavailable, InvalidBatch, StorageUnavailable
from notifier.rules.content import Content
from notifier.storage.cipher import Cipher
from notifier.storage.claims import Claimed, claim_request
from notifier.storage.connection import connect
from notifier.storage.digests import Digests
from notifier.storage.endpoints import Endpoints
from notifier.storage.ledger import Ledger
from notifier.storage.limits import Limits
from notifier.storage.parked import ParkedFilter, ParkedIndex
from notifier.storage.recipients import Recipients
from notifier.storage.store import Store
from notifier.storage.stores import Stores
from notifier.storage.suppressions import Suppressions
from notifier.storage.throttles import Throttles
from notifier.worker import dispatch as procedure
from notifier.worker.batch.follow_ups import FollowUps
from notifier.worker.batch.recorder import Recorder
from notifier.worker.batch.sender import Sender
from notifier.worker.dispatch import Dispatch
from notifier.worker.in_flight import InFlight
from notifier.worker.policy import Policy
from notifier.worker.rates.limit_watch import LimitWatch
from notifier.worker.rates.rate_limits import RateLimits
from notifier.worker.rates.throttles import sift
from tests.fake_channel import FakeChannel
from tests.unit.worker.doubles import Broker, Faults, WorkerDied

EVENT = Event(id="1", source="/shop", type="order.shipped", tenant="acme")
RULE, ONCE = "order.shipped/mail", "order.shipped/once"
RULES = """
event: order.shipped
category: orders
transactional: false
rules:
  - {id: mail, channel: email, to: data.to}
  - {id: once, channel: email, to: data.to, uncertain: park}
"""


@dataclass
class Worker:
    """One worker's procedure; several of them may share the same Redis and broker."""

    store: Store
    broker: Broker
    channel: FakeChannel
    content: Content
    engine: Engine
    owner: str = "w1"
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.store)
        self.in_flight = InFlight(100)
        cipher, broker = Cipher("k" * 32), cast(Any, self.faults.of(self.broker))
        ledger, parked = self.faults.of(self.ledger), self.faults.of(ParkedIndex(self.store))
        stores = Stores(
            ledger, Endpoints(self.store, cipher), Recipients(self.store, cipher), Suppressions(self.store), parked
        )
        self.recorder = Recorder(ledger)
        limits = Limits(self.store)
        self.watch = LimitWatch(limits, {})
        self.dispatch = Dispatch(
            content=cast(Any, SimpleNamespace(current=self.content)),
            stores=stores,
            channels={self.channel.name: self.channel},
            policies={self.channel.name: Policy(broker)},
            sender=Sender(self.engine, self.recorder, worker=self.owner, longest_send=5.0),
            recorder=self.recorder,
            follow_ups=FollowUps(stores, broker),
            sift=partial(sift, Throttles(self.store), Digests(self.store, cipher)),
            rate_limits=RateLimits(limits, self.watch, pool=8),
            in_flight=self.in_flight,
            publisher=broker,
            owner=self.owner,
        )

    def run(self, batch: Batch) -> None:
        self.ledger.heartbeat(self.owner, 60.0)
        self.dispatch.run(raw(batch))

    def die(self, batch: Batch) -> None:
        """Run a batch until one of its steps is the worker's last, in whichever greenlet that is."""
        self.ledger.heartbeat(self.owner, 60.0)
        running = gevent.spawn(self.dispatch.run, raw(batch))
        gevent.wait([running, self.recorder._greenlet], count=1)
        running.kill(WorkerDied)
        self.ledger.farewell(self.owner)

    def close(self) -> None:
        self.watch.stop()
        self.recorder.stop()

    def record(self, delivery: str) -> DeliveryRecord:
        (found,) = self.ledger.deliveries([delivery])
        assert found is not None
        return found

    def known_as_parked(self) -> list[str]:
        return [one.id for one in ParkedIndex(self.store).search(ParkedFilter(), limit=100).entries]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    engine.start()
    yield engine
    engine.stop(grace=1.0)


@pytest.fixture
def content(tmp_path: Path) -> Content:
    folder = tmp_path / "templates" / "order.shipped"
    folder.mkdir(parents=True)
    (folder / "rules.yaml").write_text(RULES)
    (folder / "email.subject.j2").write_text("Shipped")
    (folder / "email.text.j2").write_text("On its way")
    return Content.load(folder.parent, rules_only=True)


#: Makes a worker of the same service; what it is given differs.
Hire = Callable[..., Worker]


@pytest.fixture
def hire(redis_url: str, content: Content, engine: Engine) -> Iterator[Hire]:
    store, broker, channel = connect(redis_url), Broker(), FakeChannel()
    made: list[Worker] = []

    def run(owner: str = "w1", faults: Faults | None = None) -> Worker:
        made.append(Worker(store, broker, channel, content, engine, owner, faults or Faults()))
        return made[-1]

    yield run
    for worker in made:
        worker.close()
    store.close()


@pytest.fixture
def worker(hire: Hire) -> Worker:
    return hire()


def batch_of(*ids: str, rule: str = RULE, expires: float | None = None, priority: Priority = Priority.NORMAL) -> Batch:
    deliveries = [
        Delivery(id=one, event=0, rule=rule, to=Mailbox(address=f"{one}@example.org"), expires=expires) for one in ids
    ]
    return Batch(channel=Channel.EMAIL, priority=priority, events=[EVENT], deliveries=deliveries)


def raw(batch: Batch) -> RawBatch:
    return RawBatch.read(batch.encode())


def test_what_was_sent_is_in_the_ledger_and_nothing_follows(worker: Worker) -> None:
    worker.run(batch_of("dlv_a", "dlv_b"))

    assert worker.channel.sent == ["dlv_a", "dlv_b"]
    assert [worker.record(one).status for one in ("dlv_a", "dlv_b")] == [Status.SENT, Status.SENT]
    assert (worker.broker.queued, worker.broker.parked) == ([], [])
    assert worker.in_flight.count == 0


def test_what_was_deferred_comes_back_by_the_channels_schedule_with_its_tries(worker: Worker) -> None:
    worker.channel.outcomes["dlv_a"] = [Deferred("fake_500", "500 later")]

    worker.run(batch_of("dlv_a", "dlv_b"))

    ((again, after),) = worker.broker.queued
    assert [(one.id, one.attempt) for one in again.deliveries] == [("dlv_a", 1)]
    assert after == 10
    assert (worker.record("dlv_a").status, worker.record("dlv_a").tries) == (Status.DEFERRED, 1)
    assert worker.record("dlv_b").status is Status.SENT


def test_what_was_refused_is_parked_in_its_channels_queue_and_known_there(worker: Worker) -> None:
    worker.channel.outcomes["dlv_a"] = [Refused("fake_400", "400 no", cause=Cause.BAD_RECIPIENT, suppress=True)]

    worker.run(batch_of("dlv_a"))

    ((queue, parked),) = worker.broker.parked
    assert queue == "failed-email"
    assert [(one.id, one.cause, one.code) for one in parked.parked] == [("dlv_a", Cause.BAD_RECIPIENT, "fake_400")]
    assert worker.known_as_parked() == ["dlv_a"]
    assert Suppressions(worker.store).get_many([recipient_key("dlv_a@example.org")])


def test_after_the_last_try_of_the_schedule_comes_the_failure_queue(worker: Worker) -> None:
    worker.channel.schedule = RetrySchedule((), jitter=0.0)
    worker.channel.outcomes["dlv_a"] = [Deferred("fake_500")]

    worker.run(batch_of("dlv_a"))

    assert worker.record("dlv_a").status is Status.EXHAUSTED
    assert worker.known_as_parked() == ["dlv_a"]
    assert worker.broker.queued == []


def test_what_was_not_tried_costs_no_try(worker: Worker) -> None:
    worker.channel.outcomes["dlv_a"] = [NotTried("paused", "it is paused", 4.0)]

    worker.run(batch_of("dlv_a"))

    ((_, after),) = worker.broker.queued
    assert 4 <= after <= 6
    assert (worker.record("dlv_a").status, worker.record("dlv_a").tries) == (Status.DEFERRED, 0)


def test_while_its_channel_is_closed_a_whole_batch_waits_unclaimed(worker: Worker) -> None:
    worker.channel.closed = time.time() + 8

    worker.run(batch_of("dlv_a", "dlv_b"))

    ((later, after),) = worker.broker.queued
    assert len(later.deliveries) == 2
    assert 8 <= after <= 12
    assert worker.ledger.deliveries(["dlv_a"]) == [None]


def test_a_batch_that_finds_the_worker_full_comes_back_soon_and_a_high_one_goes(worker: Worker) -> None:
    assert worker.in_flight.begin(100, Priority.NORMAL)

    worker.run(batch_of("dlv_a"))
    worker.run(batch_of("dlv_high", priority=Priority.HIGH))

    ((later, after),) = worker.broker.queued
    assert ([one.id for one in later.deliveries], after) == (["dlv_a"], look_again(NotNow.FULL))
    assert worker.channel.sent == ["dlv_high"]


def test_what_nobody_wants_any_more_is_not_sent_and_says_why(worker: Worker) -> None:
    Suppressions(worker.store).add(recipient_key("dlv_b@example.org"), bounced("smtp_550", time.time()))

    worker.run(batch_of("dlv_a", expires=time.time() - 5))
    worker.run(batch_of("dlv_b"))

    assert worker.channel.sent == []
    assert [worker.record(one).status for one in ("dlv_a", "dlv_b")] == [Status.EXPIRED, Status.SUPPRESSED]


def test_a_bug_of_a_channel_is_a_try_that_failed_and_its_neighbours_go(worker: Worker) -> None:
    worker.channel.outcomes["dlv_a"] = [RuntimeError("a bug")]

    worker.run(batch_of("dlv_a", "dlv_b"))

    assert worker.record("dlv_a").attempts[0].code == "uncertain:internal_error"
    assert worker.record("dlv_b").status is Status.SENT


def test_a_batch_of_a_channel_this_worker_has_not_is_refused_as_unreadable(worker: Worker) -> None:
    batch = batch_of("dlv_a").model_copy(update={"channel": Channel.WEBHOOK})

    with pytest.raises(InvalidBatch, match="no channel"):
        worker.run(batch)


def test_what_had_come_to_its_end_is_sent_no_second_time(worker: Worker) -> None:
    worker.run(batch_of("dlv_a"))
    worker.run(batch_of("dlv_a"))

    assert worker.channel.sent == ["dlv_a"]


def test_who_is_overtaken_while_it_sends_leaves_what_follows_to_the_other(hire: Hire) -> None:
    # Given a worker whose claim somebody else takes over while its try is under way
    worker, batch = hire("w1"), batch_of("dlv_a")
    worker.channel.outcomes["dlv_a"] = [Refused("fake_400")]
    other = Ledger(worker.store)
    deliver = worker.channel.send_all

    async def overtaken(ready: Any, ended: Any, leaving: Any) -> None:
        other.release([("dlv_a", ready[0].work.claim.fence)])
        (claim,) = other.claim(
            [claim_request(batch, batch.deliveries[0])], owner="w2", lease=60.0, now=time.time(), nonce="n"
        )
        assert isinstance(claim, Claimed)
        await deliver(ready, ended, leaving)

    worker.channel.send_all = overtaken  # type: ignore[method-assign]

    # When its try has ended
    worker.run(batch)

    # Then it parks nothing: the other one's outcome decides
    assert worker.broker.parked == []
    assert worker.record("dlv_a").status is Status.SENDING


def test_what_another_worker_has_is_looked_at_twice_and_then_later(hire: Hire, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a delivery that another living worker has
    monkeypatch.setattr(procedure, "ORPHAN_LOOK_S", 0.01)
    worker, batch = hire("w1"), batch_of("dlv_a", "dlv_b")
    worker.ledger.heartbeat("w2", 60.0)
    worker.ledger.claim([claim_request(batch, batch.deliveries[0])], owner="w2", lease=20.0, now=time.time(), nonce="n")

    worker.run(batch)

    assert worker.channel.sent == ["dlv_b"]
    ((later, after),) = worker.broker.queued
    assert [one.id for one in later.deliveries] == ["dlv_a"]
    assert 1 <= after <= 21


@pytest.mark.parametrize(
    "outcome", [None, Deferred("fake_500"), Refused("fake_400")], ids=["sent", "deferred", "refused"]
)
@pytest.mark.parametrize("error", [StorageUnavailable("away"), BrokerUnavailable("away")], ids=["redis", "broker"])
@pytest.mark.parametrize("after", [False, True], ids=["unheard", "unanswered"])
def test_an_outage_at_any_step_changes_nothing_of_how_it_ends(
    hire: Hire, outcome: Any, error: Exception, after: bool
) -> None:
    # Given how a batch ends, and in how many steps
    calm = hire("w1")
    if outcome is not None:
        calm.channel.outcomes["dlv_0"] = [outcome]
    calm.run(batch_of("dlv_0"))
    expected = calm.record("dlv_0")

    for step in range(calm.faults.calls):
        # When one of the steps fails once: the server had heard nothing of it, or its answer was lost
        number = f"dlv_{step + 1}"
        worker = hire("w1", Faults(step, error, after))
        if outcome is not None:
            worker.channel.outcomes[number] = [outcome]
        worker.run(batch_of(number))

        # Then it has been tried once and ended alike
        record = worker.record(number)
        assert (record.status, record.tries) == (expected.status, expected.tries), f"step {step}"
        assert (number in worker.known_as_parked()) == isinstance(outcome, Refused), f"step {step}"
        assert worker.channel.sent.count(number) == 1, f"step {step}"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_worker_that_dies_at_any_step_leaves_a_batch_that_the_next_one_finishes(hire: Hire, after: bool) -> None:
    # Given in how many steps a refused delivery ends
    calm = hire("w0")
    calm.channel.outcomes["dlv_0"] = [Refused("fake_400")]
    calm.run(batch_of("dlv_0"))

    for step in range(calm.faults.calls):
        # When a worker dies at one of them, and another one gets the batch
        number = f"dlv_{step + 1}"
        dying = hire(f"dead-{step}", Faults(step, WorkerDied(), after))
        dying.channel.outcomes[number] = [Refused("fake_400"), Refused("fake_400")]
        dying.die(batch_of(number))
        hire(f"next-{step}").run(batch_of(number))

        # Then it is refused in the ledger, and lies where people look
        assert dying.record(number).status is Status.REFUSED, f"step {step}"
        assert number in dying.known_as_parked(), f"step {step}"
        assert [one for _, batch in dying.broker.parked for one in batch.parked if one.id == number], f"step {step}"
