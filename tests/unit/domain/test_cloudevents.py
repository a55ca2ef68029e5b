"""Decoding CloudEvents: what is right round-trips, and of what is wrong nothing but `InvalidEvent` leaves."""

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.cloudevents import MAX_EVENTS, decode_batch, decode_binary, decode_structured
from notifier.domain.event import Event
from notifier.errors import EventTooLarge, InvalidEvent, MalformedEvent

REQUIRED = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed"}
text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
names = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).filter(lambda name: name not in Event.model_fields)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)
moments = st.datetimes(timezones=st.just(UTC))


@st.composite
def wires(draw: Callable[..., Any]) -> dict[str, Any]:
    wire: dict[str, Any] = {"specversion": "1.0"}
    wire |= {name: draw(text) for name in ("id", "source", "type")}
    wire |= draw(st.dictionaries(st.sampled_from(["subject", "tenant", "traceparent", "partitionkey"]), text))
    wire |= draw(st.dictionaries(names.filter(lambda n: n not in ("data", "specversion")), text | st.booleans()))
    if draw(st.booleans()):
        wire["time"] = draw(moments).isoformat()
    if draw(st.booleans()):
        wire["data"] = draw(json_values)
    elif draw(st.booleans()):
        wire["data_base64"] = base64.b64encode(draw(st.binary())).decode()
    return wire


@given(wires())
def test_a_structured_event_survives_being_written_and_read_again(wire: dict[str, Any]) -> None:
    # Given any event as a publisher may write it
    event = decode_structured(json.dumps(wire).encode(), max_bytes=10_000_000)

    # When it travels on as we write it
    again = decode_structured(orjson.dumps(event.attributes()), max_bytes=10_000_000)

    # Then it is the same event
    assert again == event
    assert again.key == event.key


@given(wires())
def test_binary_mode_reads_the_same_event(wire: dict[str, Any]) -> None:
    # Given any event with JSON data
    wire.pop("data_base64", None)
    structured = decode_structured(json.dumps(wire).encode(), max_bytes=10_000_000)
    attributes = {n: str(v).lower() if isinstance(v, bool) else v for n, v in wire.items() if n != "data"}
    body = orjson.dumps(wire["data"]) if "data" in wire else b""

    # When it comes in binary mode, where extensions are text
    binary = decode_binary(attributes, "application/json", body, max_bytes=10_000_000)

    # Then it is the same but for its content type, which is written out now
    assert binary.data == structured.data
    assert (binary.id, binary.source, binary.type, binary.time) == (
        structured.id,
        structured.source,
        structured.type,
        structured.time,
    )
    assert binary.extensions.keys() == structured.extensions.keys()


@given(st.binary(max_size=300))
def test_whatever_bytes_come_only_invalid_event_leaves(body: bytes) -> None:
    for decode in (decode_structured, decode_batch):
        with suppress(InvalidEvent):
            decode(body)


@given(st.dictionaries(st.text(max_size=20), json_values, max_size=8))
def test_whatever_object_comes_only_invalid_event_leaves(wire: dict[str, Any]) -> None:
    with suppress(InvalidEvent):
        decode_structured(json.dumps({**REQUIRED, **wire}).encode())


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=8), st.text(max_size=40), st.binary())
def test_whatever_headers_come_only_invalid_event_leaves(
    attributes: dict[str, str], content_type: str, body: bytes
) -> None:
    for given_attributes in (attributes, {**REQUIRED, **attributes}):
        with suppress(InvalidEvent):
            decode_binary(given_attributes, content_type, body)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"source": None}, "source"),
        ({"type": "a\x00b"}, "type"),
        ({"time": "yesterday"}, "time"),
        ({"time": 1700000000}, "time"),
        ({"time": "2026-01-01T00:00:00"}, "time"),
        ({"expirytime": "2026-13-01T00:00:00Z"}, "expirytime"),
        ({"data": 1, "data_base64": "aGk="}, "data_base64"),
        ({"data_base64": "not base64!"}, "data_base64"),
        ({"data_base64": "ü"}, "data_base64"),
        ({"data_base64": 5}, "data_base64"),
        ({"Upper": "x", "upper": "x"}, "upper"),
        ({"Other-Name": "x"}, "other-name"),
        ({"data_json": "1"}, "data_json"),
        ({"sequence": 2**64}, "sequence"),
        ({"nested": {}}, "nested"),
        ({"control": "\x1b"}, "control"),
        ({"²": "x"}, "²"),
    ],
)
def test_the_wrong_attribute_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedEvent) as error:
        decode_structured(json.dumps({**REQUIRED, **changes}).encode())
    assert error.value.field == field
    assert field in str(error.value)


@pytest.mark.parametrize(
    "data",
    [b"NaN", b"Infinity", b"1e999", b"9" * 501, b'"\xff"', b"[" * 65 + b"]" * 65, b"[" * 2000, b'{"a":' * 100_000],
)
def test_json_that_breaks_readers_is_malformed(data: bytes) -> None:
    body = orjson.dumps(REQUIRED)[:-1] + b',"data":' + data + b"}"
    with pytest.raises(MalformedEvent):
        decode_structured(body, max_bytes=10_000_000)


def test_sixty_levels_of_data_are_fine() -> None:
    body = orjson.dumps(REQUIRED)[:-1] + b',"data":' + b"[" * 60 + b"]" * 60 + b"}"
    assert decode_structured(body).data is not None


def test_a_wide_document_is_not_a_deep_one() -> None:
    event = decode_structured(orjson.dumps({**REQUIRED, "data": [[] for _ in range(500)]}))
    assert len(event.data) == 500


def test_of_a_repeated_key_the_last_one_counts() -> None:
    assert decode_structured(b'{"specversion":"1.0","id":"a","source":"s","type":"t","id":"b"}').id == "b"


def test_null_attributes_are_the_same_as_none() -> None:
    assert decode_structured(json.dumps({**REQUIRED, "subject": None, "data": None}).encode()).subject is None


def test_a_large_event_is_too_large_and_told_what_to_do() -> None:
    with pytest.raises(EventTooLarge, match="publish a link"):
        decode_structured(orjson.dumps({**REQUIRED, "data": "x" * 300_000}))


def test_data_that_is_not_json_round_trips_as_base64() -> None:
    # Given a picture
    event = decode_binary(REQUIRED, "image/png", b"\x89PNG\x00\xff")

    # Then it is kept byte for byte
    assert base64.b64decode(event.attributes()["data_base64"]) == b"\x89PNG\x00\xff"
    assert event.datacontenttype == "image/png"
    assert Event.from_attributes(event.attributes()) == event


def test_text_is_text_and_must_be_utf8() -> None:
    assert decode_binary(REQUIRED, "text/plain; charset=UTF-8", "grün".encode()).data == "grün"
    with pytest.raises(MalformedEvent, match="not UTF-8"):
        decode_binary(REQUIRED, "text/plain", b"gr\xfcn")
    with pytest.raises(MalformedEvent, match="charset"):
        decode_binary(REQUIRED, "text/plain; charset=latin-1", b"gr\xfcn")


@pytest.mark.parametrize("content_type", [None, "application/json", "Application/Vnd.Shop+JSON; charset=utf-8"])
def test_json_of_any_spelling_is_parsed(content_type: str | None) -> None:
    assert decode_binary(REQUIRED, content_type, b'{"a":1}').data == {"a": 1}


@pytest.mark.parametrize("name", ["datacontenttype", "data", "data_base64", "data_json"])
def test_what_the_body_or_content_type_says_is_no_attribute_in_binary_mode(name: str) -> None:
    with pytest.raises(MalformedEvent) as error:
        decode_binary({**REQUIRED, name: "x"}, "application/json", b"{}")
    assert error.value.field == name


def test_a_batch_is_a_list_of_events() -> None:
    assert [event.id for event in decode_batch(orjson.dumps([{**REQUIRED, "id": n} for n in ("a", "b")]))] == ["a", "b"]


@pytest.mark.parametrize("body", [b"{}", b"[5]", orjson.dumps([REQUIRED, {}])])
def test_a_wrong_batch_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        decode_batch(body)


def test_a_wrong_event_of_a_batch_is_named_by_its_place() -> None:
    with pytest.raises(MalformedEvent, match="event 1 of the batch"):
        decode_batch(orjson.dumps([REQUIRED, {**REQUIRED, "type": ""}]))
    with pytest.raises(EventTooLarge, match="event 0 of the batch"):
        decode_batch(orjson.dumps([{**REQUIRED, "data": "x" * 2000}]), max_event_bytes=1000)


def test_a_batch_has_a_bounded_number_of_events() -> None:
    with pytest.raises(EventTooLarge):
        decode_batch(orjson.dumps([REQUIRED] * (MAX_EVENTS + 1)))


def test_an_old_time_with_an_offset_is_kept() -> None:
    event = decode_structured(orjson.dumps({**REQUIRED, "time": "0001-01-01T00:00:00+14:00"}))
    assert event.time is not None
    assert Event.from_attributes(event.attributes()).time == event.time
    assert decode_structured(orjson.dumps({**REQUIRED, "time": "2026-01-01T00:00:00z"})).time == datetime(
        2026, 1, 1, tzinfo=UTC
    )
