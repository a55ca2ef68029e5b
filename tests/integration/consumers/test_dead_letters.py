"""What RabbitMQ dead-letters by itself is parked, listed and recorded by a running consumer, without anybody asking."""

import json
import signal
import time
import uuid
from collections.abc import Iterator

import orjson
import pika
import pytest

from notifier.domain.batch import Batch
from notifier.domain.delivery import WAITS_FOR_DIGEST, Delivery, DeliveryRecord, DigestItems, Mailbox, Status
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id, raw_id
from notifier.domain.outcome import Cause
from notifier.domain.parked import PARKED_HEADER, Parked, ParkedBatch, decode_parked, shelved
from notifier.domain.rule import Channel, Collecting, Priority, Rule
from notifier.domain.topology import FAILURES_EXCHANGE, TASKS_EXCHANGE, shelf
from notifier.storage.connection import connect
from notifier.storage.ledger import Claimed, ClaimRequest, Ledger, Record, Registration
from notifier.storage.parked import ParkedFilter, ParkedIndex
from notifier.storage.store import Store
from tests.integration.consumers.conftest import Broker, StartConsumer

RULE = Rule("order.placed/customer", "order.placed", Channel.EMAIL, "order.placed", "orders", transactional=False)
RETURNED = {"x-death": [{"reason": "delivery_limit", "queue": "email-normal", "count": 1}]}


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    opened = connect(redis_url)
    yield opened
    opened.close()


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)


@pytest.fixture
def index(store: Store) -> ParkedIndex:
    return ParkedIndex(store)


def batch_to(*names: str, number: str = "17", channel: Channel = Channel.EMAIL) -> Batch:
    event = Event(id=number, source="/shop", type="order.placed", tenant="acme")
    deliveries = []
    for name in names:
        to = Mailbox(address=f"{name}@example.org")
        identity = delivery_id(event.source, event.id, RULE.id, to.identity)
        deliveries.append(Delivery(id=identity, event=0, rule=RULE.id, to=to, queued=time.time()))
    return Batch(channel=channel, priority=Priority.NORMAL, events=[event], deliveries=deliveries)


def register(ledger: Ledger, batch: Batch) -> None:
    ledger.register([Registration(batch.events[0], tuple((delivery, RULE) for delivery in batch.deliveries))])


def claim(ledger: Ledger, batch: Batch, delivery: Delivery, *, lease: float = 60) -> Claimed:
    ledger.heartbeat("a-living-worker", 60)
    request = ClaimRequest(delivery, batch.channel, batch.events[0])
    (claimed,) = ledger.claim([request], owner="a-living-worker", lease=lease)
    assert isinstance(claimed, Claimed)
    return claimed


def task_body(batch: Batch) -> bytes:
    return orjson.dumps([[batch.encode()], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])


def dead_letter(
    broker: Broker, body: bytes, *, key: str = "failed-email", headers: dict[str, object] | None = None
) -> None:
    """A message as RabbitMQ's dead lettering publishes it."""
    with broker.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        properties = pika.BasicProperties(
            content_type="application/json", headers=RETURNED if headers is None else headers, delivery_mode=2
        )
        channel.basic_publish(FAILURES_EXCHANGE, key, body, properties, mandatory=True)


def until_settled(broker: Broker) -> dict[str, int]:
    """Depths of a look that was begun after the dead letter was acknowledged: one look asks queue after queue."""
    broker.until(lambda depths: "dead-letters" not in depths)
    return broker.depths()


def statuses(ledger: Ledger, batch: Batch) -> list[tuple[Status, str]]:
    found: list[DeliveryRecord | None] = ledger.deliveries([delivery.id for delivery in batch.deliveries])
    return [(record.status, record.reason) if record else (Status.QUEUED, "unknown") for record in found]


def test_a_batch_is_split_and_only_what_nobody_decided_is_parked(
    broker: Broker, start_consumer: StartConsumer, ledger: Ledger, index: ParkedIndex
) -> None:
    # Given a batch that came back too often: one mail was sent, one is queued, one Redis has never heard of
    batch = batch_to("sent", "queued", "unknown")
    sent, queued, unknown = batch.deliveries
    register(ledger, batch.narrowed([sent, queued]))
    ledger.record([Record(sent.id, claim(ledger, batch, sent).fence, Status.SENT)])

    # When RabbitMQ gives it up
    dead_letter(broker, task_body(batch))
    start_consumer()

    # Then the two are parked in one message, listed and recorded as refused; what was sent stays sent
    assert until_settled(broker)["failed-email"] == 1
    assert set(index.ids(ParkedFilter())) == {queued.id, unknown.id}
    entry = index.get(queued.id)
    assert entry is not None
    assert (entry.queue, entry.cause, entry.tenant, entry.destination) == (
        "failed-email",
        Cause.POISON,
        "acme",
        "q…@example.org",
    )
    assert statuses(ledger, batch) == [(Status.SENT, ""), (Status.REFUSED, "poison"), (Status.REFUSED, "poison")]


def test_the_same_dead_letter_again_parks_nothing_twice(
    broker: Broker, start_consumer: StartConsumer, ledger: Ledger, index: ParkedIndex
) -> None:
    # Given a dead letter that was parked
    batch = batch_to("kim")
    start_consumer()
    dead_letter(broker, task_body(batch))
    broker.until(lambda depths: depths == {"failed-email": 1})

    # When it comes again, because somebody was killed before acknowledging it
    dead_letter(broker, task_body(batch))

    # Then there is still one
    assert until_settled(broker) == {"failed-email": 1}
    assert len(index.ids(ParkedFilter())) == 1


def test_what_was_recorded_and_not_parked_by_somebody_who_died_is_parked_with_what_was_recorded(
    broker: Broker, start_consumer: StartConsumer, ledger: Ledger, index: ParkedIndex
) -> None:
    # Given a worker that recorded a refusal and died before parking it
    batch = batch_to("kim")
    held = claim(ledger, batch, batch.deliveries[0])
    ledger.record([Record(batch.deliveries[0].id, held.fence, Status.REFUSED, Cause.BAD_RECIPIENT)])

    # When its batch is given up
    dead_letter(broker, task_body(batch))
    start_consumer()

    # Then it is parked for the reason the worker had
    assert until_settled(broker) == {"failed-email": 1}
    entry = index.get(batch.deliveries[0].id)
    assert entry is not None
    assert entry.cause is Cause.BAD_RECIPIENT


def test_what_a_living_worker_is_sending_is_left_to_it(
    broker: Broker, start_consumer: StartConsumer, ledger: Ledger, index: ParkedIndex
) -> None:
    # Given one mail that another copy of the batch is being sent from, and one that nobody has
    batch = batch_to("busy", "free")
    busy, free = batch.deliveries
    held = claim(ledger, batch, busy, lease=300)

    # When the batch is given up
    dead_letter(broker, task_body(batch))
    start_consumer()

    # Then the free one is parked at once
    broker.until(lambda _: set(index.ids(ParkedFilter())) == {free.id})
    # And when the worker has sent the other, nothing is left of the dead letter
    ledger.record([Record(busy.id, held.fence, Status.SENT)])
    assert until_settled(broker) == {"failed-email": 1}
    assert statuses(ledger, batch) == [(Status.SENT, ""), (Status.REFUSED, "poison")]


def test_an_item_that_waits_in_its_digest_window_is_not_parked(
    broker: Broker, start_consumer: StartConsumer, ledger: Ledger, index: ParkedIndex
) -> None:
    # Given two items of a digest batch: one was collected, one was not
    batch = batch_to("collected", "lost", channel=Collecting.DIGEST)
    collected, lost = batch.deliveries
    ledger.record([Record(collected.id, claim(ledger, batch, collected).fence, Status.HELD, "waits for its digest")])

    # When the batch is given up
    dead_letter(broker, task_body(batch), key="failed-digest")
    start_consumer()

    # Then only the one that no window has is parked
    assert until_settled(broker) == {"failed-digest": 1}
    assert set(index.ids(ParkedFilter())) == {lost.id}
    assert statuses(ledger, batch)[0] == (Status.HELD, "waits for its digest")


def test_the_items_of_a_digest_that_is_given_up_are_refused_with_it(
    broker: Broker, start_consumer: StartConsumer, ledger: Ledger, index: ParkedIndex
) -> None:
    # Given two items that wait for their digest, whose mail every worker dies of
    items = (
        batch_to("kim", channel=Collecting.DIGEST, number="1"),
        batch_to("kim", channel=Collecting.DIGEST, number="2"),
    )
    for item in items:
        fence = claim(ledger, item, item.deliveries[0]).fence
        ledger.record([Record(item.deliveries[0].id, fence, Status.HELD, WAITS_FOR_DIGEST)])
    ids = [item.deliveries[0].id for item in items]
    digest = Delivery(
        id="dlv_" + "d" * 26,
        event=0,
        rule=RULE.id,
        to=Mailbox(address="kim@example.org"),
        digest=DigestItems(items=[0, 1], total=2, deliveries=ids),
    )
    events = [item.events[0] for item in items]
    batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=events, deliveries=[digest])

    # When the digest is given up
    dead_letter(broker, task_body(batch), key="failed-digest")
    start_consumer()
    assert until_settled(broker) == {"failed-digest": 1}

    # Then its items are refused with it, and it alone is parked
    assert [statuses(ledger, item) for item in items] == [[(Status.REFUSED, f"in digest {digest.id}: poison")]] * 2
    assert set(index.ids(ParkedFilter())) == {digest.id}

    # And when the task that collected an item is given up later, the item is parked by nobody
    dead_letter(broker, task_body(items[0]), key="failed-digest")
    assert until_settled(broker) == {"failed-digest": 1}
    assert set(index.ids(ParkedFilter())) == {digest.id}


def test_a_time_to_live_is_named_as_what_it_is(
    broker: Broker, start_consumer: StartConsumer, index: ParkedIndex
) -> None:
    # Given a task whose publisher, or a policy, gave it a time to live
    batch = batch_to("kim")
    with broker.connect() as connection:
        properties = pika.BasicProperties(content_type="application/json", expiration="1", delivery_mode=2)
        connection.channel().basic_publish(TASKS_EXCHANGE, "email-normal", task_body(batch), properties)

    # When RabbitMQ dead-letters it
    start_consumer()
    broker.until(lambda depths: depths == {"failed-email": 1})

    # Then operators can tell it from poison
    entry = index.get(batch.deliveries[0].id)
    assert entry is not None
    assert entry.cause is Cause.DEAD_LETTERED
    assert "email-normal" in entry.reason


def test_a_message_nobody_can_read_is_parked_as_it_is(
    broker: Broker, start_consumer: StartConsumer, index: ParkedIndex
) -> None:
    # Given a batch of a version this release does not read
    body = orjson.dumps([[{"v": 99, "events": []}], {}, {}])

    # When RabbitMQ gives it up
    dead_letter(broker, body, headers={**RETURNED, "task": "notifier.email"})
    start_consumer()
    assert until_settled(broker) == {"failed-email": 1}

    # Then its bytes and headers are in the queue without RabbitMQ's own, and it is listed with the reason
    (parked,) = (decode_parked(one) for one in broker.bodies("failed-email"))
    assert not isinstance(parked, ParkedBatch)
    assert (parked.body, parked.headers) == (body, {"task": "notifier.email"})
    entry = index.get(raw_id(body))
    assert entry is not None
    assert "nobody can read" in entry.reason


def test_an_event_too_large_to_be_copied_travels_as_it_is(
    broker: Broker, start_consumer: StartConsumer, index: ParkedIndex
) -> None:
    # Given an event of nine megabytes
    start_consumer()
    body = json.dumps(
        {"specversion": "1.0", "id": "1", "source": "/s", "type": "order.placed", "data": "x" * 9_000_000}
    )
    broker.publish((pika.BasicProperties(content_type="application/cloudevents+json"), body.encode()))

    # When intake refuses it and RabbitMQ moves it
    broker.until(lambda depths: depths == {"failed-intake": 1})

    # Then the message is the event itself, with the entry that operators see in a header
    with broker.connect() as connection:
        shelf_of_it = shelf("failed-intake", raw_id(body.encode()))
        _, properties, found = connection.channel().basic_get(shelf_of_it, auto_ack=True)
    assert found == body.encode()
    assert properties is not None
    assert properties.content_type == "application/cloudevents+json"
    carried = Parked.from_dict(orjson.loads((properties.headers or {})[PARKED_HEADER]))
    assert carried == index.get(raw_id(body.encode()))
    assert carried.cause is Cause.TOO_LARGE


def test_what_an_earlier_release_parks_reaches_its_failure_queue(
    broker: Broker, start_consumer: StartConsumer, ledger: Ledger, index: ParkedIndex
) -> None:
    # Given a worker of an earlier release, which parks by the exchange of dead letters
    batch = batch_to("kim")
    delivery = batch.deliveries[0]
    ledger.record([Record(delivery.id, claim(ledger, batch, delivery).fence, Status.REFUSED, Cause.REFUSED)])
    entry = Parked(delivery.id, "failed-email", Cause.REFUSED, "554 no", time.time(), code="smtp_554")
    dead_letter(broker, ParkedBatch(batch, (entry,)).encode(), headers={"x-notifier-cause": "refused"})

    # When a consumer of this release runs
    start_consumer()

    # Then its message is on the shelf where it belongs, as it was
    parked = shelved(ParkedBatch(batch, (entry,)))
    assert until_settled(broker) == {"failed-email": 1}
    assert [decode_parked(body) for body in broker.bodies("failed-email")] == [parked]
    assert index.get(delivery.id) == parked.parked[0]


def test_a_consumer_killed_again_and_again_loses_no_dead_letter(
    broker: Broker, start_consumer: StartConsumer, index: ParkedIndex, ledger: Ledger
) -> None:
    # Given a hundred dead letters
    batches = [batch_to("a", "b", number=str(uuid.uuid4())) for _ in range(100)]
    for batch in batches:
        dead_letter(broker, task_body(batch))
    wanted = {delivery.id for batch in batches for delivery in batch.deliveries}

    # When consumers are killed in the middle of them
    for enough in (5, 40):
        consumer = start_consumer()
        broker.until(lambda depths, enough=enough: depths.get("failed-email", 0) >= enough)  # type: ignore[misc]
        consumer.stop(signal.SIGKILL)
    start_consumer()
    until_settled(broker)

    # Then every delivery is listed and recorded, and is in the queue; at most what was in hand is there twice
    assert set(index.ids(ParkedFilter())) == wanted
    assert {record.status for record in ledger.deliveries(sorted(wanted)) if record} == {Status.REFUSED}
    parked = [entry.id for body in broker.bodies("failed-email") for entry in decode_parked(body).parked]
    assert set(parked) == wanted
    assert len(parked) <= len(wanted) + 2 * 2 * 4
