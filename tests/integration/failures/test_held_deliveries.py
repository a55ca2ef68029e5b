"""Held deliveries on a real RabbitMQ and a real Redis: put aside, resumed by people, by themselves, and by a probe."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson
import pytest
from celery import Celery

from consumers import topology
from notifier.broker.publisher import TaskPublisher
from notifier.celery import from_settings
from notifier.domain.batch import Batch
from notifier.domain.breaker import Observed
from notifier.domain.delivery import Delivery, EndpointRef, Status
from notifier.domain.endpoint import Endpoint, EndpointState, OnResume
from notifier.domain.event import Event
from notifier.domain.look_again import LOOKS_PER_S, NotNow
from notifier.domain.rule import Priority
from notifier.domain.topology import HELD_QUEUE, held_shelf, places
from notifier.domain.waiting import Waiting
from notifier.failures.held import LOOK_AGAIN_S, PROBE_PATIENCE_S, HeldDeliveries
from notifier.settings import Settings
from notifier.storage.breakers import Breakers
from notifier.storage.cipher import Cipher
from notifier.storage.connection import connect
from notifier.storage.endpoints import Endpoints
from notifier.storage.held import HeldIndex
from notifier.storage.ledger import Ledger
from notifier.storage.store import Store
from notifier.worker.endpoints.delay_buffer import DelayBuffer, read_ended
from notifier.worker.endpoints.gate import Blocked
from tests.integration.storage.making import Clock
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ

ASIDE = Blocked("the endpoint is paused: moves", None)


@dataclass
class Bench:
    """What holds and resumes, with a clock that stands still."""

    app: Celery
    rabbit: RabbitMQ
    url: str
    store: Store
    clock: Clock

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.store, clock=self.clock)
        self.endpoints = Endpoints(self.store, Cipher("k" * 32), self.clock)
        self.breakers = Breakers(self.store, self.clock)
        self.index = HeldIndex(self.store, self.clock)
        self.buffer = DelayBuffer(self.ledger, self.index, TaskPublisher(self.app))
        self.held = HeldDeliveries(
            self.app,
            ledger=self.ledger,
            endpoints=self.endpoints,
            breakers=self.breakers,
            index=self.index,
            clock=self.clock,
        )

    def endpoint(self, on_resume: OnResume = OnResume.DELIVER) -> Endpoint:
        return self.endpoints.add("acme", "https://a.example/", on_resume=on_resume)

    def two_of_a_shelf(self) -> tuple[Endpoint, Endpoint]:
        """What is put aside for both travels together."""
        one = self.endpoint()
        while held_shelf((two := self.endpoint()).id) != held_shelf(one.id):
            self.endpoints.remove(two.id)
        return one, two

    def put_aside(self, *to: Endpoint, subjects: Sequence[str] = ("x",)) -> list[str]:
        """One delivery per endpoint and subject, in one batch, planned within a millisecond; their ids, in order."""
        events = [Event(id=str(n), source="/tests", type="a.b", subject=subject) for n, subject in enumerate(subjects)]
        deliveries = [
            Delivery(id=f"dlv_{n}-{e.id}", event=n, rule="a.b/hook", to=EndpointRef(endpoint=e.id), queued=1.0)
            for n in range(len(events))
            for e in to
        ]
        waiting = [Waiting.of(delivery, events[delivery.event]) for delivery in deliveries]
        assert self.buffer.put(Priority.NORMAL, 0, [(one, ASIDE) for one in waiting])() == []
        return [delivery.id for delivery in deliveries]

    def until_held_queue_has(self, messages: int) -> None:
        """An acknowledgement is not answered: a quorum queue forgets what was acknowledged a moment later."""
        poll(lambda: sum(self.rabbit.queue_depths(self.url)[p] for p in places(HELD_QUEUE)) == messages, "all are held")

    def sent(self) -> list[str]:
        """Ids of what was queued for the workers; taken from the queue."""
        ids: list[str] = []
        with self.app.connection_for_read() as connection, connection.channel() as channel:
            while (message := channel.basic_get(queue="webhook-normal", no_ack=True)) is not None:
                body = message.body
                [[wire], _, _] = orjson.loads(body if isinstance(body, bytes) else body.encode())
                ids += [delivery.id for delivery in Batch.decode(wire).deliveries]
        return ids

    def statuses(self, ids: Sequence[str]) -> list[Status | None]:
        return [record and record.status for record in self.ledger.deliveries(ids)]


@pytest.fixture
def bench(broker_url: str, redis_url: str, rabbitmq: RabbitMQ) -> Iterator[Bench]:
    asyncio.run(topology.apply(broker_url))
    app = Celery("held-test", set_as_current=False)
    app.conf.update(from_settings(Settings(broker_url=broker_url, redis_url=redis_url)))
    store = connect(redis_url)
    made = Bench(app, rabbitmq, broker_url, store, Clock())
    yield made
    made.buffer.stop()
    store.close()
    app.close()


def test_what_is_put_aside_is_held_in_the_ledger_counted_and_in_its_queue(bench: Bench) -> None:
    # When deliveries to two paused endpoints of one shelf are put aside together
    one, two = bench.two_of_a_shelf()
    ids = bench.put_aside(one, two, subjects=["x", "y"])

    # Then they lie in one message there, and both ledger and counts say so
    bench.until_held_queue_has(1)
    assert bench.rabbit.queue_depths(bench.url)[held_shelf(one.id)] == 1
    assert bench.statuses(ids) == [Status.HELD] * 4
    records = bench.ledger.deliveries(ids)
    assert {record.reason for record in records if record} == {"the endpoint is paused: moves"}
    assert bench.held.counts([one.id, two.id, "ep_none"]) == {one.id: 2, two.id: 2}


def test_what_a_resume_does_not_reach_in_its_time_is_counted_and_follows_as_it_was_chosen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given walks whose first window is one message, and three with deliveries of one kind to a paused endpoint
    monkeypatch.setattr("notifier.failures.redrive.FIRST_WINDOW", 1)
    endpoint = bench.endpoint()
    ids = []
    for number in range(3):
        bench.clock.now += number
        ids += bench.put_aside(endpoint, subjects=[f"x{number}"])
        bench.until_held_queue_has(number + 1)
    bench.held.pause(endpoint.id, "moves")

    # When it is resumed by whoever has time for the first only, and wants none of it
    _, resumed = bench.held.resume(endpoint.id, OnResume.DISCARD, seconds=-1)

    # Then the others still wait, and are counted
    assert (resumed.delivered, resumed.dropped, resumed.waiting) == (0, 1, 2)
    assert bench.held.counts([endpoint.id]) == {endpoint.id: 2}

    # And a worker's next sweep does the rest as it was chosen
    swept = bench.held.sweep()
    assert (swept.delivered, swept.dropped) == (0, 2)
    assert bench.held.counts([endpoint.id]) == {}
    assert bench.statuses(ids) == [Status.SKIPPED] * 3


def test_resuming_one_endpoint_sends_what_it_holds_and_leaves_the_others(bench: Bench) -> None:
    # Given two paused endpoints with deliveries in the same message
    one, two = bench.two_of_a_shelf()
    for endpoint in (one, two):
        bench.held.pause(endpoint.id, "moves")
    ids = bench.put_aside(one, two, subjects=["x", "y"])

    # When one is resumed
    resumed, became = bench.held.resume(one.id)

    # Then its deliveries are queued, claimable, and those of the other still wait
    assert (resumed.state, became.delivered, became.dropped) == (EndpointState.ENABLED, 2, 0)
    assert sorted(bench.sent()) == sorted(i for i in ids if one.id in i)
    assert bench.held.counts([one.id, two.id]) == {two.id: 2}
    bench.until_held_queue_has(1)
    # And resuming it again does nothing
    assert bench.held.resume(one.id)[1].delivered == 0
    assert bench.index.due(10) == [two.id]


@pytest.mark.parametrize(
    ("chosen", "policy", "expected"),
    [
        (OnResume.DELIVER, OnResume.DISCARD, [0, 1, 2, 3]),
        (OnResume.LATEST, OnResume.DELIVER, [2, 3]),
        (OnResume.DISCARD, OnResume.DELIVER, []),
        (None, OnResume.LATEST, [2, 3]),
    ],
)
def test_the_operator_or_else_the_endpoint_says_what_becomes_of_it(
    bench: Bench, chosen: OnResume | None, policy: OnResume, expected: list[int]
) -> None:
    # Given four deliveries about two orders, x and y
    endpoint = bench.endpoint(policy)
    ids = bench.put_aside(endpoint, subjects=["x", "y", "x", "y"])

    # When the endpoint is resumed
    _, became = bench.held.resume(endpoint.id, chosen)

    # Then what is wanted is queued, and the ledger says of the rest that it was not
    wanted = [ids[n] for n in expected]
    assert sorted(bench.sent()) == sorted(wanted)
    assert (became.delivered, became.dropped) == (len(wanted), 4 - len(wanted))
    assert bench.statuses(ids) == [Status.HELD if i in wanted else Status.SKIPPED for i in ids]
    bench.until_held_queue_has(0)


def test_an_endpoint_that_recovers_is_resumed_by_the_sweep_with_its_own_policy(bench: Bench) -> None:
    # Given an endpoint that is open, with held deliveries
    endpoint = bench.endpoint(OnResume.LATEST)
    bench.breakers.observe({endpoint.id: Observed(failed=1, wait=600)}, {})
    ids = bench.put_aside(endpoint, subjects=["x", "x"])

    # Then the sweep leaves them while it is open
    assert bench.held.sweep().delivered == 0
    assert bench.index.due(10) == []

    # When it closes and is looked at
    bench.breakers.clear([endpoint.id])
    bench.index.look([endpoint.id], bench.clock.now)

    # Then the sweep sends the latest
    became = bench.held.sweep()
    assert (became.delivered, became.dropped) == (1, 1)
    assert bench.sent() == [ids[1]]
    assert bench.index.due(10) == []


def test_an_open_endpoint_for_which_nothing_new_arrives_is_probed_with_one_held_delivery(bench: Bench) -> None:
    # Given an endpoint whose time has been up for a while, with two held deliveries
    endpoint = bench.endpoint()
    bench.breakers.observe({endpoint.id: Observed(failed=1, wait=100)}, {})
    ids = bench.put_aside(endpoint, subjects=["x", "y"])
    bench.clock.now += 100 + PROBE_PATIENCE_S

    # When the sweep comes
    became = bench.held.sweep()

    # Then one goes as the probe, the other waits, and the next look is later
    assert became.delivered == 1
    assert len(bench.sent()) == 1
    assert bench.held.counts([endpoint.id]) == {endpoint.id: 1}
    assert bench.held.sweep().delivered == 0
    bench.clock.now += LOOK_AGAIN_S
    assert bench.index.due(10) == [endpoint.id]
    assert set(bench.statuses(ids)) == {Status.HELD}


def test_what_a_paused_endpoint_holds_stays_and_what_a_removed_one_holds_ends(bench: Bench) -> None:
    # Given a paused and a removed endpoint
    paused, removed = bench.endpoint(), bench.endpoint()
    bench.held.pause(paused.id, "moves")
    ids = bench.put_aside(paused, removed)
    bench.endpoints.remove(removed.id)

    # When the sweep comes
    became = bench.held.sweep()

    # Then only the removed one's has ended, with the reason
    assert (became.delivered, became.dropped) == (0, 1)
    records = bench.ledger.deliveries(ids)
    assert [(r.status, r.reason) for r in records if r] == [
        (Status.HELD, ASIDE.reason),
        (Status.SKIPPED, "the endpoint was removed"),
    ]
    assert bench.sent() == []


def test_two_walks_at_once_do_not_hide_messages_from_each_other(bench: Bench) -> None:
    # Given somebody who walks the queue
    endpoint = bench.endpoint()
    bench.put_aside(endpoint)
    place = held_shelf(endpoint.id)
    assert bench.index.begin_walk(place, "somebody", 60)

    # When an operator resumes an endpoint, then they are told that it follows
    _, became = bench.held.resume(endpoint.id, OnResume.DISCARD)
    assert (became.waiting, became.delivered, became.dropped) == (1, 0, 0)

    # And the sweep does as they chose once the other has ended
    bench.index.end_walk(place, "somebody")
    assert bench.held.sweep().dropped == 1
    bench.until_held_queue_has(0)


def test_what_waits_for_a_short_time_is_gathered_from_all_batches_into_few_messages(bench: Bench) -> None:
    # Given a delivery of each of twenty batches that waits for about the same time
    waiting = [
        Waiting.of(
            Delivery(id=f"dlv_{n}", event=0, rule="a.b/hook", to=EndpointRef(endpoint=f"ep_{n}")),
            Event(id=str(n), source="/tests", type="a.b"),
        )
        for n in range(20)
    ]
    before = bench.store.round_trips

    # When they are put into the buffer at once
    away = [[(one, Blocked("open", NotNow.OPEN, 40.0 + n / 10))] for n, one in enumerate(waiting)]
    delayings = [bench.buffer.put(Priority.NORMAL, 0, blocked) for blocked in away]
    for delaying in delayings:
        assert delaying() == []

    # Then one message carries them all
    depths = bench.rabbit.queue_depths(bench.url)
    assert sum(depth for name, depth in depths.items() if name.startswith("celery_delayed_")) == 1
    # And one round trip told the ledger; one more each where it knew neither the script nor the deliveries
    assert bench.store.round_trips - before <= 3
    assert bench.statuses([f"dlv_{n}" for n in range(20)]) == [Status.HELD] * 20


def test_the_more_wait_the_longer_each_stays_but_for_what_is_to_be_looked_at_sooner(bench: Bench) -> None:
    # Given so many that wait that looking at each once would take a minute
    crowd = int(60 * LOOKS_PER_S)
    event, to = Event(id="1", source="/tests", type="a.b"), EndpointRef(endpoint="ep_1")
    waiting = [Waiting.of(Delivery(id=f"dlv_{n}", event=0, rule="a.b/hook", to=to), event) for n in range(crowd + 2)]
    bench.buffer.put(Priority.NORMAL, 0, [(one, Blocked("open", NotNow.OPEN, 64.0)) for one in waiting[2:]])()
    before = bench.rabbit.queue_depths(bench.url)

    # When two more could look again in a second, of which one names the longest it may wait
    pending = Blocked("does not answer", NotNow.PENDING, age=1.0, at_most=15.0)
    more = [(waiting[0], Blocked("open", NotNow.OPEN, 1.0)), (waiting[1], pending)]
    bench.buffer.put(Priority.NORMAL, 0, more)()

    # Then one waits for 64 seconds like the crowd, and the other for 16: a queue of the broker's for each power of two
    after = bench.rabbit.queue_depths(bench.url)
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {
        "celery_delayed_4": 1,
        "celery_delayed_6": 1,
    }


def test_what_ended_meanwhile_is_not_delayed(bench: Bench) -> None:
    # Given a delivery that was dropped while a copy of its message was on its way
    endpoint = bench.endpoint()
    bench.put_aside(endpoint)
    bench.held.resume(endpoint.id, OnResume.DISCARD)

    # When the copy meets a paused endpoint
    event = Event(id="0", source="/tests", type="a.b")
    delivery = Delivery(id=f"dlv_0-{endpoint.id}", event=0, rule="a.b/hook", to=EndpointRef(endpoint=endpoint.id))
    copy = Waiting.of(delivery, event)

    # Then it is told to be over
    ended = bench.buffer.put(Priority.NORMAL, 0, [(copy, ASIDE)])()
    assert ended == [(copy, Status.SKIPPED)]
    bench.until_held_queue_has(0)

    # And it is read again for whoever finishes what its worker left undone
    [(batch, [(read, status)])] = read_ended(ended, Priority.NORMAL, 0)
    assert (batch.events, batch.queue, read, status) == ([event], "webhook-normal", delivery, Status.SKIPPED)
