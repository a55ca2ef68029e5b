"""AMQP messages as publishers' clients really write them."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.envelope import decode
from notifier.errors import EventTooLarge, InvalidEvent, MalformedEvent

NAMES = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed"}


def message(headers: dict[str, Any] | None = None, content_type: str | None = "application/json", **more: Any) -> Any:
    return pika.BasicProperties(headers=headers, content_type=content_type, **more)


def prefixed(prefix: str, **more: Any) -> dict[str, Any]:
    return {prefix + name: value for name, value in {**NAMES, **more}.items()}


@pytest.mark.parametrize(
    "content_type",
    ["application/cloudevents+json", "Application/CloudEvents+JSON", "application/cloudevents+json; charset=UTF-8"],
)
def test_structured_mode_is_known_by_its_content_type(content_type: str) -> None:
    assert decode(message(content_type=content_type), orjson.dumps(NAMES)).type == "order.placed"


@pytest.mark.parametrize(
    "prefix", ["cloudEvents:", "cloudEvents_", "ce-", "ce_", "CE_", "CLOUDEVENTS_", "cloudevents:", "CE-"]
)
def test_binary_mode_is_known_by_its_headers(prefix: str) -> None:
    # Given attributes as headers, beside headers of others
    properties = message({**prefixed(prefix), "x-other": 1, "traceparent": "not an attribute"})

    # When it is decoded, then the body is the data
    event = decode(properties, b'{"a":1}')
    assert (event.id, event.data, event.datacontenttype) == ("1", {"a": 1}, "application/json")
    assert event.extensions == {}


def test_header_values_of_any_amqp_type_become_text() -> None:
    # Given what clients send instead of strings: bytes, numbers, booleans, times
    headers = prefixed("cloudEvents:", id=b"77", sequence=5, sampled=True, time=datetime(2026, 1, 2, 3, 4, 5))  # noqa: DTZ001
    event = decode(message(headers), b"")
    assert event.id == "77"
    assert event.extensions == {"sequence": "5", "sampled": "true"}
    assert event.time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+2"), "100"),
        (1.5, "1.5"),
        (2**40, "1099511627776"),
        (b"gr\xc3\xbcn", "grün"),
    ],
)
def test_decimals_and_floats_of_headers_become_text_too(value: Any, text: str) -> None:
    assert decode(message(prefixed("ce-", amount=value)), b"").extensions == {"amount": text}


@pytest.mark.parametrize("number", [1764485520123, 1764485520])
def test_a_time_as_an_amqp_1_0_timestamp_is_an_instant(number: int) -> None:
    # Given what cloudevents 2 for Python sends in binary mode: milliseconds, which RabbitMQ may have made seconds
    event = decode(message(prefixed("cloudEvents_", time=number)), b"")
    assert event.time is not None
    assert event.time.replace(microsecond=0) == datetime(2025, 11, 30, 6, 52, tzinfo=UTC)
    with pytest.raises(MalformedEvent, match="out of range"):
        decode(message(prefixed("ce-", time=10**20)), b"")


@pytest.mark.parametrize(
    ("properties", "body", "words"),
    [
        (message(), b"{}", "not a CloudEvent"),
        (message(content_type=None), b"{}", "content type is missing"),
        (message({**prefixed("ce-"), "cloudEvents:subject": "x"}), b"{}", "mix"),
        (message({**prefixed("ce-"), "CE-Id": "2"}), b"{}", "given twice"),
        (message({"ce-id": {"a": 1}}), b"{}", "dict"),
        (message({"ce-id": [1]}), b"{}", "list"),
        (message({"ce-id": b"\xff"}), b"{}", "UTF-8"),
        (message({"ce-id": float("nan")}), b"{}", "float"),
        (message({"ce-id": "1"}), b"{}", "'specversion' is missing; every event has"),
        (message(prefixed("ce-", subject="")), b"{}", "'subject': is empty; leave it out"),
        (message(content_type="application/cloudevents-batch+json"), b"[]", "one message per event"),
        (message(content_type="application/cloudevents+avro"), b"", "of the structured formats only"),
        (message(content_type="application/cloudevents+json", content_encoding="gzip"), b"", "uncompressed"),
    ],
)
def test_what_is_wrong_is_said(properties: Any, body: bytes, words: str) -> None:
    with pytest.raises(MalformedEvent, match=words):
        decode(properties, body)


def test_attributes_count_towards_the_size() -> None:
    with pytest.raises(EventTooLarge):
        decode(message(prefixed("ce-", subject="x" * 900)), b"x" * 200, max_bytes=1000)


scalars = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.datetimes()
field_values = scalars | st.lists(scalars)
headers = st.dictionaries(
    st.sampled_from(["ce-", "cloudEvents:", "", "cloudEvents_"]).flatmap(
        lambda prefix: st.text(max_size=10).map(lambda name: prefix + name)
    ),
    field_values,
    max_size=6,
)


@given(headers, st.none() | st.text(max_size=40), st.none() | st.sampled_from(["gzip", "utf-8", ""]), st.binary())
def test_whatever_message_comes_only_invalid_event_leaves(
    found: dict[str, Any], content_type: str | None, encoding: str | None, body: bytes
) -> None:
    for all_headers in (found, {**prefixed("ce-"), **found}):
        with suppress(InvalidEvent):
            decode(message(all_headers, content_type, content_encoding=encoding), body)
