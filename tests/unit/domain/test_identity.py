"""Who a message says it is, as far as that can be found in what is no event."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.event import Event
from notifier.domain.identity import Identity
from notifier.domain.ids import event_key

WHOLE = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "time": "2026-11-30T06:00:00Z"}
FOUND = Identity("1", "/s", "t", "2026-11-30T06:00:00Z", "default")
HEADERS = {f"cloudEvents:{name}": value for name, value in WHOLE.items()}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, json.dumps(WHOLE).encode()),
        ({}, b"\xef\xbb\xbf" + json.dumps(WHOLE, indent=2).encode()),
        ({}, json.dumps({"data": {"id": "inner", "source": "inner"}, **WHOLE}).encode()),
        ({}, json.dumps({**WHOLE, "data": ["x" * 600_000]}).encode()),
        ({}, json.dumps(WHOLE).encode()[:-1] + b', "data": {"a": "\xff'),
        ({}, json.dumps(WHOLE).encode()[:-1] + b', "data": ' + b"[" * 50_000),
        ({}, json.dumps(WHOLE).encode()[:-1] + b', "data": ' + b"9" * 10_000 + b"}"),
        ({}, json.dumps({name.upper(): value for name, value in WHOLE.items()}).encode()),
        (HEADERS, b"\xff\xfe"),
        (HEADERS, b'{"id": "of the data", "source": "of the data", "specversion": "1.0"}'),
        ({f"ce_{name}": value for name, value in WHOLE.items()}, b"{}"),
        ({name: value.encode() for name, value in HEADERS.items()}, b""),
    ],
)
def test_it_is_found_in_whatever_was_published(headers: dict[str, Any], body: bytes) -> None:
    found = Identity.found(headers, body)
    assert found == FOUND
    assert found.key == event_key("/s", "1")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", Identity()),
        (b"[1]", Identity()),
        (b'"text"', Identity()),
        (b'{"id": "1", "type": "an order"}', Identity()),
        (b'{"specversion": "1.0", "id": 5, "source": ["s"], "type": "t"}', Identity(type="t")),
        (b'{"specversion": "1.0", "id": "a\\nb\\ud800c"', Identity(id="a\ufffdb\ufffdc")),
    ],
)
def test_what_is_not_said_is_not_made_up(body: bytes, expected: Identity) -> None:
    found = Identity.found({}, body)
    assert found == expected
    assert found.key == ""


def test_a_time_in_a_header_is_written_as_text() -> None:
    found = Identity.found({"cloudEvents:time": datetime(2026, 11, 30, tzinfo=UTC), "cloudEvents:id": 5}, b"")
    assert (found.time, found.id) == ("2026-11-30T00:00:00+00:00", "5")


@given(st.binary(max_size=300) | st.text(alphabet='{}[]":,\\ud8abc 01', max_size=200).map(str.encode))
def test_no_bytes_end_in_an_error(body: bytes) -> None:
    found = Identity.found({}, body)
    assert all(text.isprintable() for text in (found.id, found.source, found.type, found.time))


def test_of_an_event_that_was_read_it_is_what_the_event_says() -> None:
    event = Event.from_attributes({**WHOLE, "tenant": "acme"})
    assert Identity.of(event) == Identity("1", "/s", "t", "2026-11-30T06:00:00Z", "acme")
    assert Identity.of(event).key == event.key


def test_the_same_content_has_one_fingerprint_however_it_is_spelled() -> None:
    def mark(data: Any, **more: Any) -> str:
        return Event.from_attributes({**WHOLE, "data": data, **more}).fingerprint

    same = mark({"a": 1, "b": [1, {"c": 2}]})
    assert mark({"b": [1, {"c": 2}], "a": 1}, time="2026-11-30T09:00:00Z") == same
    assert len({same, mark({"a": 2}), mark({"a": 1, "b": [1, {"c": 2}]}, type="u"), mark(None), mark(2**70)}) == 5
    event = Event.from_attributes({**WHOLE, "data": 1})
    assert event.model_copy(update={"data": 2}).fingerprint == mark(2) != event.fingerprint
