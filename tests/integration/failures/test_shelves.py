"""Shelves on a real RabbitMQ and a real Redis: few messages are passed, and those of earlier releases are found."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pika
import pytest
from celery import Celery

from consumers import topology
from notifier.broker.publisher import TaskPublisher
from notifier.celery import from_settings
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, EndpointRef
from notifier.domain.endpoint import OnResume
from notifier.domain.event import Event
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, shelved
from notifier.domain.rule import Channel, Priority
from notifier.domain.topology import HELD_QUEUE, PARKED_EXCHANGE, held_shelf, shelf
from notifier.errors import BrokerUnavailable
from notifier.failures.held import HeldDeliveries
from notifier.failures.operator import Operator
from notifier.settings import Settings
from notifier.storage.breakers import Breakers
from notifier.storage.held import HeldDelivery, HeldIndex
from notifier.storage.parked import ParkedFilter, ParkedIndex
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from notifier.wiring.stores import build_endpoints, build_ledger, build_recipients, build_store
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ

QUEUE = "failed-webhook"


@dataclass
class Bench:
    """What parks, holds, replays and resumes."""

    settings: Settings
    app: Celery
    store: Store
    rabbit: RabbitMQ

    def __post_init__(self) -> None:
        ledger = build_ledger(self.settings, self.store)
        self.index, self.held_index = ParkedIndex(self.store), HeldIndex(self.store)
        self.endpoints = build_endpoints(self.settings, self.store)
        recipients = build_recipients(self.settings, self.store)
        self.operator = Operator(self.app, ledger, self.index, Suppressions(self.store), recipients)
        self.held = HeldDeliveries(
            self.app,
            ledger=ledger,
            endpoints=self.endpoints,
            breakers=Breakers(self.store),
            index=self.held_index,
        )
        self.publisher = TaskPublisher(self.app)

    def depths(self) -> dict[str, int]:
        found = self.rabbit.queue_depths(self.settings.broker_url)
        return {place: count for place, count in found.items() if count and place.startswith(("failed-", "held-"))}

    def until_there(self, wanted: dict[str, int]) -> None:
        poll(lambda: self.depths() == wanted, f"{wanted} lie there")

    def park(self, number: int, endpoint: str, *, earlier: bool = False) -> Parked:
        """One delivery, as a worker of this release parks it, or one of an earlier release."""
        message = ParkedBatch(batch := batch_to(number, endpoint), (entry(batch, QUEUE),))
        if not earlier:
            message = shelved(message)
        [parked] = message.parked
        self.publisher.park(parked.place, message)
        self.index.add([parked])
        return parked

    def hold(self, number: int, endpoint: str, *, earlier: bool = False) -> str:
        """One delivery that is put aside, as a worker of this release does it, or one of an earlier release."""
        place = HELD_QUEUE if earlier else held_shelf(endpoint)
        batch = batch_to(number, endpoint)
        identity = batch.deliveries[0].id
        self.publisher.park(place, ParkedBatch(batch, (entry(batch, HELD_QUEUE).at(place),)))
        if earlier:
            self.store.client.zadd(f"ntf:{{held}}:{endpoint}", {f"{identity} kind": number})
            self.store.client.zadd("ntf:{held}", {endpoint: time.time() * 1000}, nx=True)
        else:
            self.held_index.add([HeldDelivery(endpoint, identity, "kind", number / 1000)])
        return identity

    def endpoint(self, beside: str = "") -> str:
        """A new one, whose shelf is not that of another."""
        while held_shelf(made := self.endpoints.add("acme", "https://a.example/").id) == (
            beside and held_shelf(beside)
        ):
            pass
        return made


def batch_to(number: int, endpoint: str) -> Batch:
    event = Event(id=str(number), source="/tests", type="a.b", data={"n": number})
    delivery = Delivery(id=f"dlv_{number}", event=0, rule="a.b/hook", to=EndpointRef(endpoint=endpoint), queued=1.0)
    return Batch(channel=Channel.WEBHOOK, priority=Priority.NORMAL, events=[event], deliveries=[delivery])


def entry(batch: Batch, queue: str) -> Parked:
    [delivery] = batch.deliveries
    assert isinstance(delivery.to, EndpointRef)
    return Parked(delivery.id, queue, Cause.REFUSED, "nö", 1.0, destination=delivery.to.endpoint)


@pytest.fixture
def bench(broker_url: str, redis_url: str, rabbitmq: RabbitMQ) -> Iterator[Bench]:
    asyncio.run(topology.apply(broker_url))
    settings = Settings(broker_url=broker_url, redis_url=redis_url, secret_key="k" * 32)
    app = Celery("shelves-test", set_as_current=False)
    app.conf.update(from_settings(settings))
    store = build_store(settings)
    yield Bench(settings, app, store, rabbitmq)
    store.close()
    app.close()


def test_a_resume_passes_no_messages_of_other_shelves(bench: Bench) -> None:
    # Given deliveries held for two endpoints on different shelves, one of which somebody is walking over
    mine = bench.endpoint()
    theirs = bench.endpoint(beside=mine)
    bench.hold(1, mine)
    bench.hold(2, theirs)
    assert bench.held_index.begin_walk(held_shelf(theirs), "somebody", 60)

    # When the other one is resumed
    _, became = bench.held.resume(mine)

    # Then nobody is waited for, and what lies elsewhere lies there
    assert (became.delivered, became.waiting) == (1, 0)
    bench.until_there({held_shelf(theirs): 1})
    assert bench.held.counts([mine, theirs]) == {theirs: 1}


@pytest.mark.parametrize(("policy", "delivered"), [(OnResume.DELIVER, 2), (OnResume.LATEST, 1)])
def test_what_an_earlier_release_holds_is_counted_and_resumed_with_the_rest(
    bench: Bench, policy: OnResume, delivered: int
) -> None:
    # Given an endpoint for which a worker of each release holds a delivery, and another one of the earlier release
    mine, other = bench.endpoint(), bench.endpoint()
    older, newer = bench.hold(1, mine, earlier=True), bench.hold(2, mine)
    bench.hold(3, other, earlier=True)
    bench.until_there({HELD_QUEUE: 2, held_shelf(mine): 1})
    assert bench.held.counts([mine, other]) == {mine: 2, other: 1}
    assert [one.id for one in bench.held_index.of(mine)] == [older, newer]

    # When it is resumed
    _, became = bench.held.resume(mine, policy)

    # Then both are dealt with, by one idea of which is the newest, and the other's waits where it was
    assert (became.delivered, became.dropped, became.waiting) == (delivered, 2 - delivered, 0)
    bench.until_there({HELD_QUEUE: 1})
    assert bench.held_index.due(10) == [other]
    assert bench.held.sweep().delivered == 1
    assert bench.held_index.due(10) == []


def test_a_sweep_of_an_earlier_release_forgets_nothing_that_lies_on_a_shelf(bench: Bench) -> None:
    # Given a held delivery, and a sweep that finds nothing of it in the queue it knows, and forgets what it knows
    mine = bench.endpoint()
    bench.hold(1, mine)
    for key in bench.store.client.scan_iter("ntf:{held}*"):
        bench.store.client.delete(key)

    # Then it is still known, and this release's sweep sends it
    assert bench.held.counts([mine]) == {mine: 1}
    assert bench.held.sweep().delivered == 1


def test_with_the_index_lost_a_resume_finds_what_lies_on_the_shelf_and_in_the_queue(bench: Bench) -> None:
    mine = bench.endpoint()
    bench.hold(1, mine)
    bench.hold(2, mine, earlier=True)
    for key in bench.store.client.scan_iter("ntf:{held*"):
        bench.store.client.delete(key)

    assert bench.held.resume(mine)[1].delivered == 2
    bench.until_there({})


def test_a_replay_passes_only_where_something_of_it_lies_and_finds_what_earlier_releases_parked(bench: Bench) -> None:
    # Given failures of two endpoints on different shelves, and one that an earlier release parked
    one = bench.endpoint()
    mine = bench.park(1, one)
    made = (bench.endpoint() for _ in range(1000))
    theirs = bench.park(2, next(e for e in made if shelf(QUEUE, f"endpoint:{e}") != mine.place))
    earlier = bench.park(3, one, earlier=True)
    bench.until_there({mine.place: 1, theirs.place: 1, QUEUE: 1})
    assert bench.operator.counts() == {(QUEUE, Cause.REFUSED): 3}

    # When two of them are replayed while somebody walks over the third's shelf
    assert bench.index.begin_walk(theirs.place, "somebody", 60)
    done = bench.operator.replay(ParkedFilter(ids=(mine.id, earlier.id)))

    # Then both are sent again, and the third is where it was
    assert (done.done, done.missing, done.remaining) == (2, 0, 0)
    bench.until_there({theirs.place: 1})
    assert bench.index.ids(ParkedFilter()) == {theirs.id: theirs.place}
    assert bench.operator.unindexed() == {}


def test_an_entry_that_an_earlier_release_wrote_leaves_the_index_with_its_message(bench: Bench) -> None:
    # Given an entry as it was written before there were shelves
    earlier = bench.park(1, bench.endpoint(), earlier=True)
    fields = {name: value for name, value in earlier.as_dict().items() if name != "shelf"}
    bench.store.client.hset("ntf:{parked}", earlier.id, json.dumps(fields, separators=(",", ":")))

    assert bench.operator.discard(ParkedFilter(queue=QUEUE)).done == 1
    assert bench.operator.counts() == {}


def test_a_reindex_says_of_each_entry_where_it_lies(bench: Bench) -> None:
    # Given entries on a shelf and in the queue itself, and an index that knows nothing
    endpoint = bench.endpoint()
    entries = [bench.park(1, endpoint), bench.park(2, endpoint, earlier=True)]
    bench.index.remove([one.id for one in entries])

    assert bench.operator.reindex() == 2
    assert [bench.index.get(one.id) for one in entries] == entries
    assert bench.operator.payload("dlv_1").text is not None
    assert bench.operator.replay(ParkedFilter(queue=QUEUE)).done == 2
    bench.until_there({})


def test_a_walk_whose_messages_no_queue_would_take_back_ends_with_an_error_and_loses_none(bench: Bench) -> None:
    # Given a shelf that somebody has unbound
    endpoint = bench.endpoint()
    parked = [bench.park(number, endpoint) for number in range(3)]
    place = parked[0].place
    with pika.BlockingConnection(pika.URLParameters(bench.settings.broker_url)) as connection:
        connection.channel().queue_unbind(place, PARKED_EXCHANGE, place)

    # When one of three is discarded, then the others, which would have to go to its tail, stay, and it is said why
    with pytest.raises(BrokerUnavailable, match="NO_ROUTE"):
        bench.operator.discard(ParkedFilter(ids=(parked[0].id,)))
    bench.until_there({place: 3})
