"""Deliveries that share what follows travel together; each event travels once with those that need it."""

from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.batch import MAX_BYTES, MAX_WAITING, Batch
from notifier.domain.delivery import Delivery, EndpointRef, Mailbox
from notifier.domain.encoding import encode_batch
from notifier.domain.event import Event
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked
from notifier.domain.rule import Channel, Priority
from notifier.worker.following import by_delay, by_queue
from notifier.worker.gating import Blocked
from notifier.worker.shelving import Shelved, together


def batch_of(events: list[int]) -> Batch:
    """A batch with one delivery for each entry, which names the event by its number."""
    numbers = sorted(set(events))
    return Batch(
        channel=Channel.EMAIL,
        priority=Priority.LOW,
        events=[Event(id=str(number), source="/tests", type="a.b") for number in numbers],
        deliveries=[
            Delivery(id=f"dlv_{place}", event=numbers.index(number), rule="r", to=Mailbox(address=f"{place}@x.org"))
            for place, number in enumerate(events)
        ],
    )


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-2, 4)), min_size=1, max_size=30))
def test_deliveries_of_one_delay_travel_together_with_their_own_events(drawn: list[tuple[int, int]]) -> None:
    # Given deliveries of several events, each with the seconds it waits
    batch = batch_of([event for event, _ in drawn])
    event_of = {delivery.id: batch.events[delivery.event].id for delivery in batch.deliveries}
    waits = [(delivery, seconds) for delivery, (_, seconds) in zip(batch.deliveries, drawn, strict=True)]

    # When they are grouped
    groups = by_delay(batch, waits)

    # Then there is one batch for each delay, none under a second, which RabbitMQ and Celery do not know
    assert [seconds for seconds, _ in groups] == sorted({max(1, seconds) for _, seconds in waits})
    # And every delivery is in the one of its delay, with its own event, and no event is carried for nobody
    placed = {d.id: (seconds, part.events[d.event].id) for seconds, part in groups for d in part.deliveries}
    assert placed == {delivery.id: (max(1, seconds), event_of[delivery.id]) for delivery, seconds in waits}
    for _, part in groups:
        assert {delivery.event for delivery in part.deliveries} == set(range(len(part.events)))
        assert (part.channel, part.priority) == (batch.channel, batch.priority)


def test_parked_deliveries_are_grouped_by_failure_queue() -> None:
    batch = batch_of([1, 2, 1])
    parks = [
        (delivery, Parked(delivery.id, queue, Cause.REFUSED, "no", 1.0))
        for delivery, queue in zip(batch.deliveries, ["failed-email", "failed-digest", "failed-email"], strict=True)
    ]

    groups = dict(by_queue(batch, parks))

    assert {queue: [d.id for d in parked.batch.deliveries] for queue, parked in groups.items()} == {
        "failed-email": ["dlv_0", "dlv_2"],
        "failed-digest": ["dlv_1"],
    }
    assert [entry.id for entry in groups["failed-email"].parked] == ["dlv_0", "dlv_2"]
    assert len(groups["failed-email"].batch.events) == 1


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=3 * MAX_WAITING),
    st.sampled_from([10, 3000]),
    st.integers(0, 4),
)
def test_what_waits_travels_in_few_messages_of_its_own_queue_with_each_event_once(
    events: list[int], size: int, shard: int
) -> None:
    # Given deliveries of many batches that wait for their endpoints
    shelved = [
        Shelved(
            Delivery(id=f"dlv_{place}", event=0, rule="r", to=EndpointRef(endpoint="ep")),
            Event(id=str(number), source="/tests", type="a.b", data="x" * size),
            Priority.LOW,
            shard,
            Blocked("it is away", 4.0),
        )
        for place, number in enumerate(events)
    ]

    # When they are put together
    batches = together(shelved, Priority.LOW, shard)

    # Then every one of them is in one message of that queue, in order, with its own event
    assert [d.id for batch in batches for d in batch.deliveries] == [one.delivery.id for one in shelved]
    assert [batch.events[d.event].id for batch in batches for d in batch.deliveries] == [str(n) for n in events]
    assert {(batch.priority, batch.shard) for batch in batches} == {(Priority.LOW, shard)}
    # And no message is too large, has an event twice, or is less than half full when another follows
    for batch in batches:
        assert len({event.id for event in batch.events}) == len(batch.events)
        assert len(batch.deliveries) <= MAX_WAITING
        assert len(encode_batch(batch)) <= MAX_BYTES + 200 * MAX_WAITING
    for batch in batches[:-1]:
        assert len(batch.deliveries) == MAX_WAITING or len(encode_batch(batch)) > MAX_BYTES / 2
