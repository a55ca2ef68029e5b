"""What travels in a Celery task."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, DigestItems, EndpointRef, Mailbox, RecipientRef
from notifier.domain.event import Event
from notifier.domain.rule import Channel, Priority
from notifier.errors import InvalidBatch


def an_event(number: int = 1, **more: Any) -> Event:
    return Event(id=f"e{number}", source="/shop", type="order.placed", data={"n": number}, **more)


def a_delivery(event: int = 0, **more: Any) -> Delivery:
    return Delivery(id=f"dlv_{event}", event=event, rule="order.placed/mail", to=Mailbox(address="a@b.example"), **more)


def a_batch(*deliveries: Delivery, events: int = 1) -> Batch:
    return Batch(
        channel=Channel.EMAIL,
        priority=Priority.HIGH,
        events=[an_event(n) for n in range(events)],
        deliveries=list(deliveries) or [a_delivery()],
    )


def test_a_batch_read_back_from_json_is_the_same_batch() -> None:
    batch = a_batch(
        a_delivery(0, attempt=2, expires=1e9, queued=5.0),
        Delivery(id="dlv_w", event=1, rule="r", to=EndpointRef(endpoint="ep_1")),
        Delivery(id="dlv_r", event=1, rule="r", to=RecipientRef(recipient="u1"), key="thread"),
        events=2,
    )

    assert Batch.decode(json.loads(json.dumps(batch.encode()))) == batch


def test_a_narrowed_batch_carries_only_the_events_its_deliveries_need() -> None:
    # Given a batch of four events
    digest = a_delivery(1, digest=DigestItems(items=[1, 3], total=2))
    batch = a_batch(a_delivery(0), digest, a_delivery(2), events=4)

    # When only the digest is left to do
    narrowed = batch.narrowed([digest])

    # Then its two events travel, and its indexes follow them
    assert [event.id for event in narrowed.events] == ["e1", "e3"]
    assert narrowed.deliveries[0].event == 0
    assert narrowed.deliveries[0].digest == DigestItems(items=[0, 1], total=2)


def test_the_queue_and_the_task_follow_from_channel_and_priority() -> None:
    assert (a_batch().queue, a_batch().task) == ("email-high", "notifier.email")


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": None},
        {"events": []},
        {"deliveries": []},
        {"deliveries": [{"id": "d", "event": 9, "rule": "r", "to": {"address": "a@b"}}]},
        {"deliveries": [{"id": "d", "event": -1, "rule": "r", "to": {"address": "a@b"}}]},
        {"channel": "pigeon"},
        {"surprise": 1},
        {"events": [{"id": "no source"}]},
        {"events": [[]]},
    ],
)
def test_a_task_argument_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidBatch):
        Batch.decode({**a_batch().encode(), **change})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_JSON)
def test_no_json_value_makes_decoding_raise_anything_but_invalid_batch(value: Any) -> None:
    with pytest.raises(InvalidBatch):
        Batch.decode(value)


@given(st.dictionaries(st.sampled_from(["v", "channel", "priority", "events", "deliveries"]), _JSON))
def test_no_damage_to_one_part_makes_decoding_raise_anything_but_invalid_batch(damage: dict[str, Any]) -> None:
    try:
        Batch.decode({**a_batch().encode(), **damage})
    except InvalidBatch:
        return


def test_a_shard_travels_and_names_the_queue() -> None:
    # Given a batch of a crowded tenant
    batch = a_batch().model_copy(update={"shard": 3})

    # Then it comes back to its shard, whatever is left of it
    assert Batch.decode(batch.encode()) == batch
    assert batch.narrowed(list(batch.deliveries[:1])).queue == "email-high-shard3"


def test_a_batch_without_a_shard_is_what_earlier_workers_read() -> None:
    assert "shard" not in a_batch().encode()
