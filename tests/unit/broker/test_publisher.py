"""Deliveries that share what follows travel together; each event travels once with those that need it."""

from hypothesis import given
from hypothesis import strategies as st

from notifier.broker.publisher import by_delay, by_shelf
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.event import Event
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked
from notifier.domain.rule import Channel, Priority
from notifier.domain.topology import shelf


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

    groups = dict(by_shelf(batch, parks))

    # Each on the shelf of its first delivery's address, which its entries tell
    mails, digests = (shelf(q, f"mailto:{n}@x.org") for q, n in [("failed-email", 0), ("failed-digest", 1)])
    assert {place: [d.id for d in parked.batch.deliveries] for place, parked in groups.items()} == {
        mails: ["dlv_0", "dlv_2"],
        digests: ["dlv_1"],
    }
    assert [(e.id, e.queue, e.place) for e in groups[mails].parked] == [
        ("dlv_0", "failed-email", mails),
        ("dlv_2", "failed-email", mails),
    ]
    assert len(groups[mails].batch.events) == 1
