"""What waits travels on as it came: split off before anything is read, and joined again in few messages."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.batch import MAX_BYTES, MAX_WAITING, Batch
from notifier.domain.delivery import Delivery, EndpointRef
from notifier.domain.event import Event
from notifier.domain.rule import Channel, Priority
from notifier.domain.waiting import RawBatch, Waiting, join, together
from notifier.errors import InvalidBatch

DATA = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.integers()


def a_delivery(number: int, event: int, **more: Any) -> Delivery:
    return Delivery(id=f"dlv_{number}", event=event, rule="a.b/hook", to=EndpointRef(endpoint=f"ep_{number}"), **more)


def batch_of(events: list[Event], named: list[int], shard: int = 0) -> Batch:
    """A delivery for each entry, which names its event."""
    deliveries = [a_delivery(number, event, attempt=number % 3, queued=5.0) for number, event in enumerate(named)]
    return Batch(channel=Channel.WEBHOOK, priority=Priority.LOW, shard=shard, events=events, deliveries=deliveries)


def named(batch: Batch) -> list[tuple[Delivery, Event]]:
    """Deliveries with their events, whatever place these have."""
    return [(d.model_copy(update={"event": 0}), batch.events[d.event]) for d in batch.deliveries]


def rejoined(waiting: list[Waiting], shard: int = 0) -> Batch:
    [encoded] = together(waiting, Channel.WEBHOOK, Priority.LOW, shard)
    return Batch.decode(json.loads(encoded.body))


@given(
    data=st.lists(DATA, min_size=1, max_size=4),
    drawn=st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=12),
    shard=st.integers(0, 4),
)
def test_a_batch_falls_into_what_goes_and_what_waits_and_neither_changes(
    data: list[Any], drawn: list[tuple[int, bool]], shard: int
) -> None:
    # Given a batch as it came, some of whose deliveries must wait
    events = [Event(id=str(number), source="/t", type="a.b", data=content) for number, content in enumerate(data)]
    batch = batch_of(events, [event % len(events) for event, _ in drawn], shard)
    away = [place for place, (_, waits) in enumerate(drawn) if waits]

    # When it is split
    raw = RawBatch.read(json.loads(json.dumps(batch.encode())))
    going, waiting = raw.split({place: place % 2 == 0 for place in away})

    # Then each delivery is on its side with its own event, and the side that goes carries no event for nobody
    pairs = named(batch)
    assert (named(going) if going else []) == [pair for place, pair in enumerate(pairs) if place not in away]
    if going:
        assert {delivery.event for delivery in going.deliveries} == set(range(len(going.events)))
        assert (going.channel, going.priority, going.shard) == (batch.channel, batch.priority, batch.shard)
    assert [one.read() for one in waiting] == [pairs[place] for place in away]

    # And what waits comes back in the same queue
    if waiting:
        back = rejoined(waiting, shard)
        assert named(back) == [pairs[place] for place in away]
        assert back.queue == raw.queue


def test_of_one_event_two_rules_may_send_different_parts() -> None:
    # Given two deliveries of one event; for the first a part of its data was left out
    event = Event(id="1", source="/t", type="a.b", data={"keep": 1, "people": [1, 2]})
    trimmed = event.model_copy(update={"data": {"keep": 1}})
    waiting = [Waiting.of(a_delivery(0, 0), trimmed), Waiting.of(a_delivery(1, 0), event)]

    # When both wait in one message, then each finds its own data there
    assert [event.data for _, event in named(rejoined(waiting))] == [{"keep": 1}, {"keep": 1, "people": [1, 2]}]


@pytest.mark.parametrize("data", [2**70, "half a pair: \ud83d"])
@pytest.mark.parametrize("checked", [False, True])
def test_what_orjson_does_not_write_waits_all_the_same(data: Any, checked: bool) -> None:
    batch = batch_of([Event(id="1", source="/t", type="a.b", data=data)], [0])

    _, waiting = RawBatch.read(batch.encode()).split({0: checked})

    assert rejoined(waiting) == batch
    assert waiting[0].read() == (batch.deliveries[0], batch.events[0])


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=3 * MAX_WAITING),
    st.sampled_from([10, 3000]),
    st.integers(0, 4),
)
def test_what_waits_travels_in_few_messages_of_its_own_queue_with_each_event_once(
    events: list[int], size: int, shard: int
) -> None:
    # Given deliveries of many batches that wait for their endpoints
    made = {number: Event(id=str(number), source="/t", type="a.b", data="x" * size) for number in set(events)}
    waiting = [Waiting.of(a_delivery(place, 0), made[number]) for place, number in enumerate(events)]

    # When they are put together
    encoded = together(waiting, Channel.WEBHOOK, Priority.LOW, shard)
    batches = [Batch.decode(json.loads(one.body)) for one in encoded]

    # Then every one of them is in one message of that queue, in order, with its own event
    assert [d.id for batch in batches for d in batch.deliveries] == [one.id for one in waiting]
    assert [batch.events[d.event].id for batch in batches for d in batch.deliveries] == [str(n) for n in events]
    assert {(batch.priority, batch.shard) for batch in batches} == {(Priority.LOW, shard)}
    assert [(one.queue, one.deliveries) for one in encoded] == [(b.queue, len(b.deliveries)) for b in batches]
    # And no message is too large, has an event twice, or is less than half full when another follows
    for batch, one in zip(batches, encoded, strict=True):
        assert len({event.id for event in batch.events}) == len(batch.events)
        assert len(batch.deliveries) <= MAX_WAITING
        assert len(one.body) <= MAX_BYTES + 20 * MAX_WAITING
    for one in encoded[:-1]:
        assert one.deliveries == MAX_WAITING or len(one.body) > MAX_BYTES / 2


def wire(**changes: Any) -> dict[str, Any]:
    """A batch of one delivery, with other things in it."""
    return {**batch_of([Event(id="1", source="/t", type="a.b")], [0]).encode(), **changes}


DELIVERY = a_delivery(0, 0).model_dump(mode="json", exclude_defaults=True)


@pytest.mark.parametrize(
    "changes",
    [{"v": 2}, {"channel": "pigeon"}, {"shard": 9}, {"events": {}}, {"deliveries": []}, {"deliveries": 7}, {"x": 1}],
    ids=json.dumps,
)
def test_what_is_no_batch_is_refused_before_it_is_looked_at(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidBatch):
        RawBatch.read(wire(**changes))


UNREADABLE = pytest.mark.parametrize(
    "changes",
    [
        {"deliveries": [7]},
        {"deliveries": [{**DELIVERY, "event": 1}]},
        {"deliveries": [{**DELIVERY, "event": -1}]},
        {"deliveries": [{**DELIVERY, "event": "x"}]},
        {"deliveries": [{**DELIVERY, "id": 7}]},
        {"deliveries": [{**DELIVERY, "attempt": "x"}]},
        {"deliveries": [{**DELIVERY, "colour": "red"}]},
        {"deliveries": [{**DELIVERY, "to": {"endpoint": ""}}]},
        {"events": [None]},
        {"events": [{"specversion": "1.0", "id": "1", "source": "/t"}]},
        {"events": [{"specversion": "1.0", "id": "1", "source": "/t", "type": "a.b", "Colour": "red"}]},
    ],
    ids=json.dumps,
)


@UNREADABLE
@pytest.mark.parametrize("away", [{}, {0: True}], ids=["sent", "put aside"])
def test_what_nobody_can_read_is_neither_sent_nor_put_aside(changes: dict[str, Any], away: dict[int, bool]) -> None:
    # Given a batch with a delivery or an event that is none
    raw = RawBatch.read(wire(**changes))

    # When it is split, then it is refused
    with pytest.raises(InvalidBatch):
        raw.split(away)


@UNREADABLE
def test_what_nobody_can_read_waits_or_is_refused_and_breaks_nothing(changes: dict[str, Any]) -> None:
    # Given a batch with a delivery or an event that is none
    raw = RawBatch.read(wire(**changes))

    # When it only waits, then it is refused at once or when it comes back
    with pytest.raises(InvalidBatch):
        rejoined(raw.split({0: False})[1])


@UNREADABLE
def test_an_unreadable_delivery_can_be_told_from_its_neighbours(changes: dict[str, Any]) -> None:
    # Given a batch of three whose middle one nobody can read
    good = batch_of([Event(id=str(number), source="/t", type="a.b") for number in range(3)], [0, 1, 2]).encode()
    bad = wire(**changes)
    good["events"][1] = bad["events"][0]
    good["deliveries"][1] = bad["deliveries"][0]
    if isinstance(good["deliveries"][1], dict):
        good["deliveries"][1] = {**good["deliveries"][1], "event": {0: 1, 1: 3}.get(bad["deliveries"][0]["event"], "x")}
    raw = RawBatch.read(good)
    with pytest.raises(InvalidBatch):
        raw.decode()

    # When each gets a batch of its own
    first, middle, last = (json.loads(one.body) for one in raw.alone())

    # Then the others are what they were, in the same queue
    assert [d.id for wire in (first, last) for d in Batch.decode(wire).deliveries] == ["dlv_0", "dlv_2"]
    assert [Batch.decode(wire).events[0].id for wire in (first, last)] == ["0", "2"]
    assert {one.queue for one in raw.alone()} == {raw.queue}
    # And it is still what it was
    with pytest.raises(InvalidBatch):
        Batch.decode(middle)


@given(
    drawn=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=4), shard=st.integers(0, 4)
)
def test_batches_that_are_joined_are_one_with_all_of_their_deliveries_and_events(
    drawn: list[list[int]], shard: int
) -> None:
    # Given batches of one queue
    batches, first = [], 0
    for place, named_events in enumerate(drawn):
        events = [Event(id=f"{place}.{number}", source="/t", type="a.b", data=place) for number in range(3)]
        one = batch_of(events, named_events, shard)
        moved = [d.model_copy(update={"id": f"dlv_{first + n}"}) for n, d in enumerate(one.deliveries)]
        batches.append(one.model_copy(update={"deliveries": moved}))
        first += len(moved)

    # When they are joined
    joined = join([RawBatch.read(json.loads(json.dumps(batch.encode()))) for batch in batches])

    # Then each delivery has its own event still, and what cannot be read will be looked for one by one
    assert joined.joined is (len(batches) > 1)
    assert (joined.size, joined.queue) == (first, batches[0].queue)
    assert named(joined.decode()) == [pair for batch in batches for pair in named(batch)]


@pytest.mark.parametrize(
    "broken",
    [
        {"events": [{}], "deliveries": [7]},
        {"events": [{}], "deliveries": [{"id": "d", "event": 1}]},
        {"events": [{}], "deliveries": [{"id": "d", "event": None}]},
        {"events": [{}], "deliveries": [{"id": "d", "event": 0, "digest": {"items": [0], "total": 1}}]},
        {"events": [{}], "deliveries": [{"id": "dlv_0", "event": 0}]},
        {"events": [{}], "deliveries": [{"id": "d", "event": 0}], "priority": "high"},
    ],
)
def test_what_cannot_be_moved_into_another_batch_is_not_joined(broken: dict[str, Any]) -> None:
    good = batch_of([Event(id="1", source="/t", type="a.b")], [0])
    frame = {"v": 1, "channel": "webhook", "priority": "low"}

    with pytest.raises(InvalidBatch):
        join([RawBatch.read(good.encode()), RawBatch.read({**frame, **broken})])
