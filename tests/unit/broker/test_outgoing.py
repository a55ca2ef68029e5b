"""What is published for a batch or for what is parked, whoever publishes it."""

import json

from kombu.transport.native_delayed_delivery import level_name

from notifier.broker.outgoing import parked_in, task_of
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.encoding import encode_batch
from notifier.domain.event import Event
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, decode_parked, shelved
from notifier.domain.rule import Channel, Priority

BATCH = Batch(
    channel=Channel.EMAIL,
    priority=Priority.NORMAL,
    events=[Event(id="1", source="/tests", type="a.b")],
    deliveries=[Delivery(id=f"dlv_{n}", event=0, rule="a.b/mail", to=Mailbox(address=f"{n}@x.org")) for n in range(2)],
)


def test_a_task_goes_to_its_work_queue_and_says_whose_it_is() -> None:
    message = task_of(encode_batch(BATCH), "walk-1@here")

    assert (message["exchange"], message["routing_key"]) == ("notifier.tasks", "email-normal")
    assert message["headers"]["origin"] == "walk-1@here"
    assert message["headers"]["id"] == message["correlation_id"]
    [[wire], _, _] = json.loads(message["body"])
    assert Batch.decode(wire) == BATCH


def test_a_delayed_task_begins_at_its_first_wait() -> None:
    message = task_of(encode_batch(BATCH), "worker-1@here", after=5)

    assert message["exchange"] == level_name(2)
    assert message["routing_key"].endswith("1.0.1.email-normal")


def test_what_is_parked_goes_to_its_shelf_with_its_causes_and_says_where_that_is() -> None:
    parked = shelved(
        ParkedBatch(BATCH, tuple(Parked(d.id, "failed-email", Cause.REFUSED, "no", 1.0) for d in BATCH.deliveries))
    )
    [place] = {entry.place for entry in parked.parked}

    message = parked_in(place, parked)

    assert place.startswith("failed-email-")
    assert (message["exchange"], message["routing_key"]) == ("notifier.parked", place)
    assert message["headers"] == {"x-notifier-cause": "refused"}
    assert decode_parked(message["body"]) == parked
