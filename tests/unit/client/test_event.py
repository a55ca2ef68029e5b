"""What the client writes is what the service reads, and what cannot be written is said at once."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.client import Event, InvalidEvent
from notifier.client import event as client
from notifier.client.event import encode
from notifier.domain import cloudevents as service
from notifier.domain import json_text
from notifier.domain.cloudevents import decode_structured
from notifier.errors import MalformedEvent

text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50)
words = st.text(st.characters(exclude_categories=["Cs"]))
data = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(words, inner),
    max_leaves=10,
)


class Colour(Enum):
    RED = "red"


@given(text, text, text, data, st.none() | text, st.datetimes(timezones=st.just(timezone(timedelta(hours=2)))))
def test_the_service_reads_every_event_the_client_writes(
    event_type: str, source: str, event_id: str, content: Any, tenant: str | None, moment: datetime
) -> None:
    # Given any event with text attributes
    event = Event(type=event_type, source=source, id=event_id, data=content, tenant=tenant, time=moment)

    # When the service reads its bytes, then it is the same fact
    read = decode_structured(encode(event))
    assert (read.type, read.source, read.id, read.data) == (event_type, source, event_id, content)
    assert read.tenant == (tenant or "default")
    assert read.time == moment


def test_every_attribute_travels() -> None:
    event = Event(
        type="a",
        source="/s",
        subject="sub",
        expirytime=datetime(2030, 1, 1, tzinfo=UTC),
        traceparent="00-1-2-01",
        partitionkey="p",
        dataschema="https://example.org/schema",
        extensions={"sequence": 5, "sampled": True, "region": "eu"},
    )
    read = decode_structured(encode(event))
    assert (read.subject, read.traceparent, read.partitionkey) == ("sub", "00-1-2-01", "p")
    assert read.expirytime == event.expirytime
    assert read.extensions == event.extensions


def test_each_event_gets_an_id_of_its_own() -> None:
    assert Event(type="a").id != Event(type="a").id


def test_common_types_are_written_as_text() -> None:
    content = {
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "on": date(2026, 1, 2),
        "total": Decimal("9.90"),
        "key": UUID(int=1),
        "colour": Colour.RED,
    }
    assert json.loads(encode(Event(type="a", source="s", data=content)))["data"] == {
        "at": "2026-01-02T00:00:00+00:00",
        "on": "2026-01-02",
        "total": "9.90",
        "key": "00000000-0000-0000-0000-000000000001",
        "colour": "red",
    }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"type": ""}, "type must be text"),
        ({"type": "a\nb"}, "type must be text"),
        ({"source": ""}, "source must be text"),
        ({"id": 5}, "id must be text"),
        ({"id": "x" * 2000}, "id must be text"),
        ({"subject": "\ud800"}, "subject must be text"),
        ({"time": datetime(2026, 1, 1)}, "with a time zone"),  # noqa: DTZ001
        ({"time": "now"}, "with a time zone"),
        ({"extensions": {"Upper": "x"}}, "lower-case"),
        ({"extensions": {"data": "x"}}, "no attribute's name"),
        ({"extensions": {"region": 1.5}}, "extension region must be text"),
        ({"data": {1, 2}}, "cannot be written as JSON"),
        ({"data": float("nan")}, "cannot be written as JSON"),
        ({"data": "\ud800"}, "cannot be written as JSON"),
        ({"data": "x" * 300_000}, "publish a link"),
    ],
)
def test_what_cannot_be_published_is_refused_with_the_attribute(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidEvent, match=said):
        encode(Event(**{"type": "a", "source": "s", **wrong}))


def test_data_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidEvent):
        encode(Event(type="a", source="s", data=endless))


def test_the_client_refuses_what_the_service_would() -> None:
    # Given the limits of the service
    assert (client.MAX_DEPTH, client.MAX_DIGITS, client.MAX_BYTES) == (
        service.MAX_DEPTH,
        json_text.MAX_DIGITS,
        service.MAX_BYTES,
    )

    # When data is at them, then both take it
    for content in (nested(64), {"n": 10**500 - 1, "text": "9" * 600, "negative": -(10**500) + 1}):
        assert service.decode_structured(encode(Event(type="a", source="s", data=content))).data == content

    # When it is beyond, then neither does, and the client says so before anything is sent
    for content in (nested(65), {"n": 10**500}, [[-(10**500)]]):
        with pytest.raises(InvalidEvent, match=r"nested deeper|500 digits"):
            encode(Event(type="a", source="s", data=content))
        with pytest.raises(MalformedEvent, match=r"nested deeper|500 digits"):
            service.decode_structured(
                json.dumps({"specversion": "1.0", "id": "1", "source": "s", "type": "a", "data": content}).encode()
            )


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value
