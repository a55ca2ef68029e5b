"""What `encode_batch` writes is what `Batch.encode` says and `Batch.decode` reads, whatever is in it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, EndpointRef, Mailbox, RecipientRef
from notifier.domain.encoding import encode_batch
from notifier.domain.event import Event
from notifier.domain.rule import Channel, Priority
from notifier.domain.trimming import trimmed

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TO = st.one_of(
    st.just(Mailbox(address="jo@example.org")),
    st.builds(EndpointRef, endpoint=st.just("ep_1")),
    st.builds(RecipientRef, recipient=st.just("42")),
)


@given(
    st.lists(st.tuples(JSON, TO, st.integers(0, 9)), min_size=1, max_size=5),
    st.sampled_from(Channel),
    st.sampled_from(Priority),
    st.integers(0, 4),
)
def test_a_batch_is_read_back_as_it_was(
    drawn: list[tuple[Any, Any, int]], channel: Channel, priority: Priority, shard: int
) -> None:
    # Given any batch
    batch = Batch(
        channel=channel,
        priority=priority,
        shard=shard,
        events=[Event(id=str(n), source="/t", type="a.b", data=data) for n, (data, _, _) in enumerate(drawn)],
        deliveries=[
            Delivery(id=f"dlv_{n}", event=n, rule="r", to=to, attempt=attempt)
            for n, (_, to, attempt) in enumerate(drawn)
        ],
    )

    # When it is written
    encoded = encode_batch(batch)
    written = encoded.body

    # Then it is what its slow way writes, and reads back the same
    assert json.loads(written) == json.loads(json.dumps(batch.encode()))
    assert Batch.decode(json.loads(written)) == batch
    assert (encoded.queue, encoded.deliveries) == (batch.queue, len(batch.deliveries))


@pytest.mark.parametrize("data", [2**70, {"n": -(2**64)}, "half a pair: \ud83d"])
def test_what_orjson_does_not_write_is_written_all_the_same(data: Any) -> None:
    event = Event(id="1", source="/t", type="a.b", data=data)
    batch = Batch(
        channel=Channel.EMAIL,
        priority=Priority.HIGH,
        events=[event],
        deliveries=[Delivery(id="dlv_1", event=0, rule="r", to=Mailbox(address="jo@example.org"))],
    )
    assert json.loads(event.encoded)["data"] == data
    assert Batch.decode(json.loads(encode_batch(batch).body)) == batch


def test_a_copy_with_other_data_is_written_with_that_data() -> None:
    # Given an event that has been written, and named, once
    event = Event(id="1", source="/t", type="a.b", data={"keep": 1, "people": [1, 2]})
    assert b"people" in event.encoded
    first = event.key

    # When a part of its data is left out, and another one gets an id of its own
    copy, other = trimmed(event, ["data.people"]), event.model_copy(update={"id": "2"})

    # Then both are written, and named, as they are
    assert json.loads(copy.encoded)["data"] == {"keep": 1}
    assert copy.key == first
    assert other.key != first
    assert json.loads(other.encoded)["id"] == "2"
