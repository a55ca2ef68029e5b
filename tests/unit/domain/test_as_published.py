"""What was published is what goes out: numbers, spelling, times; through batches, failure queues and copies."""

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils import json as kombu_json

from notifier.domain.batch import Batch
from notifier.domain.cloudevents import decode_batch, decode_binary, decode_message, decode_object, decode_structured
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.encoding import EncodedBatch, encode_batch
from notifier.domain.event import Event
from notifier.domain.json_text import MAX_DIGITS, NotJson, may_lose, read_json, read_written, write_json
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, decode_parked
from notifier.domain.rule import Channel, Priority
from notifier.domain.task_message import BATCH_HEADER, task_message
from notifier.domain.trimming import trimmed
from notifier.domain.waiting import RawBatch
from notifier.errors import InvalidEvent, MalformedEvent
from notifier.worker.celery_side.lazy_batch import lazy_batch
from notifier.worker.celery_side.receiving import read_batch
from notifier.worker.celery_side.receiving import read_json as read_task

HEAD = '{"specversion":"1.0","id":"1","source":"/shop","type":"order.placed"'
NAMES = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed"}
SPELLINGS = [
    '{"wei":1000000000000000000001,"account":18446744073709551617}',
    '{"n":-9223372036854775809}',
    '{"price":1.10,"rate":0.1234567890123456789}',
    '{"n":1e400,"m":-1E-400,"k":1e23,"z":-0,"f":-0.0,"t":123456e-320}',
    '{ "spaced" : [ 1, 2 ],\n "escaped":"gr\\u00fcn \\/"}',
    '{"a":1,"a":2}',
    '"1000000000000000000001"',
    "1000000000000000000001",
    '{"__type__":"datetime","__value__":"2026-01-01T00:00:00"}',
    '{"data":{"data":1.10}}',
    '{"plain":[1,2.5,"x",null,true]}',
]


def structured(data: str, more: str = "") -> bytes:
    return f'{HEAD}{more},"data":{data}}}'.encode()


def in_batch(event: Event) -> Batch:
    delivery = Delivery(id="dlv_1", event=0, rule="r", to=Mailbox(address="jo@example.org"))
    return Batch(channel=Channel.WEBHOOK, priority=Priority.HIGH, events=[event], deliveries=[delivery])


def arrived(body: bytes) -> Any:
    """A batch as a worker reads it of a task message."""
    message = task_message(EncodedBatch(Channel.WEBHOOK, Priority.HIGH, 1, body), "tests")
    shaped = lazy_batch(message.headers[BATCH_HEADER], message.body, read_batch)
    assert shaped is not None
    return shaped[0][0].read()


def journeys(event: Event) -> list[Event]:
    """The event after every way it travels on."""
    batch = in_batch(event)
    body = encode_batch(batch).body
    _, (waiting,) = RawBatch.read(arrived(body)).split({0: True})
    _, (passed_on,) = RawBatch.read(arrived(body)).split({0: False})
    (alone,) = RawBatch.read(arrived(body)).alone()
    parked = Parked(id="dlv_1", queue="failed-webhook", cause=Cause.EXHAUSTED, reason="", parked_at=1.0)
    again = decode_parked(ParkedBatch(batch, (parked,)).encode())
    assert isinstance(again, ParkedBatch)
    return [
        event,
        Batch.decode(arrived(body)).events[0],
        Batch.decode(read_task(kombu_json.dumps(batch.encode()))).events[0],
        waiting.read()[1],
        passed_on.read()[1],
        Batch.decode(arrived(alone.body)).events[0],
        again.batch.events[0],
    ]


@pytest.mark.parametrize("data", SPELLINGS)
def test_the_data_goes_out_byte_for_byte_whatever_way_it_came_and_went(data: str) -> None:
    # Given the same data in all modes
    encoded = base64.b64encode(data.encode()).decode()
    came = [
        decode_structured(structured(data)),
        decode_binary(NAMES, "application/json", data.encode()),
        decode_structured(f'{HEAD},"datacontenttype":"application/json","data_base64":"{encoded}"}}'.encode()),
        decode_batch(b"[" + structured(data) + b"]")[0],
        decode_object(read_json(structured(data)), structured(data)),
    ]
    for event in came:
        # When it has travelled, then the service's own publishing and webhooks say it as it was written
        for travelled in journeys(event):
            assert f'"data":{data}'.encode() in travelled.published
            assert travelled.data == event.data
            assert decode_structured(travelled.published).data == event.data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1000000000000000000001", 10**21 + 1),
        ("9223372036854775808", 2**63),
        ("0.1", 0.1),
        ("1.10", 1.1),
        ("0.30000000000000004", 0.30000000000000004),
        ("0.1234567890123456789", Decimal("0.1234567890123456789")),
        ("12345678901.1234567", Decimal("12345678901.1234567")),
        ("1e400", Decimal("1e400")),
        ("1e-400", Decimal("1e-400")),
        ("-1E-0400", Decimal("-1e-400")),
        ("2.2250738585072011e-308", Decimal("2.2250738585072011e-308")),
    ],
)
def test_a_number_is_exact_and_a_float_only_where_that_is_the_same(text: str, value: Any) -> None:
    for document in (text, f"[{text}]", f'{{"e-100":"9e-100", "n" :{text}}}', f"[1,\n{text} ]"):
        read = read_json(document.encode())
        found = read if document == text else read["n"] if isinstance(read, dict) else read[-1]
        assert found == value
        assert type(found) is type(value)
        assert read_json(write_json(read)) == read


@pytest.mark.parametrize(
    "document",
    [
        '{"queued":1796033589.8941221,"expires":1796037189.894122}',
        "[-13.404953999999998,52.520006599999995]",
        '{"id":1234567890123456789,"n":-9223372036854775807}',
        '{"order":"12345678901234567890","at":" 10.20.30.40.50.60.70"}',
    ],
)
def test_what_a_double_holds_is_read_the_fast_way_however_many_digits_it_has(document: str) -> None:
    # Given numbers of more than 15 digits, as every time in microseconds is; once each batch of mails was read the slow
    # way for them, ten times as long
    assert not may_lose(document.encode())
    # Then they are the same either way
    assert read_written(document.encode()) == read_json(document.encode()) == json.loads(document)


@given(
    st.decimals(allow_nan=False, allow_infinity=False)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
)
def test_any_number_is_kept_or_refused(number: Any) -> None:
    text = str(number)
    # Given any number; of too many digits it is refused (the test after this one)
    with suppress(NotJson):
        read = read_json(f'{{"n":{text}}}'.encode())["n"]
        # Then what is read is that number, and again after it was written
        assert Decimal(str(read)) == Decimal(text)
        assert read_written(write_json({"n": read})) == {"n": read}


@pytest.mark.parametrize(
    "data", ["9" * (MAX_DIGITS + 1), "1e500", "1e-501", "1e99999999999999999999", "-" + "9" * 5000]
)
def test_a_number_of_too_many_digits_is_refused_and_told_what_to_do(data: str) -> None:
    for read in (
        lambda: decode_structured(structured(f'{{"n":{data}}}')),
        lambda: decode_binary(NAMES, "application/json", f"[{data}]".encode()),
    ):
        with pytest.raises(MalformedEvent, match="500 digits: publish it as a text") as error:
            read()
        assert data[:12] not in str(error.value)


def test_a_copy_without_a_part_keeps_the_numbers_of_the_rest() -> None:
    event = trimmed(
        decode_structured(structured('{"big":1000000000000000000001,"d":0.1234567890123456789,"people":[1]}')),
        ["data.people"],
    )
    for travelled in journeys(event):
        assert b'"data":{"big":1000000000000000000001,"d":0.1234567890123456789}' in travelled.published


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-11-30T06:52:00.123456789Z", datetime(2026, 11, 30, 6, 52, 0, 123456, UTC)),
        ("2026-11-30t06:52:00z", datetime(2026, 11, 30, 6, 52, tzinfo=UTC)),
        ("2026-11-30T06:52:00-00:00", datetime(2026, 11, 30, 6, 52, tzinfo=UTC)),
        ("2026-11-30T12:22:00+05:30", datetime(2026, 11, 30, 6, 52, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, 999999, UTC)),
        ("1990-12-31T15:59:60.25-08:00", datetime(1990, 12, 31, 23, 59, 59, 999999, UTC)),
        ("9999-12-31T23:59:60Z", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
    ],
)
def test_a_time_is_counted_with_as_an_instant_and_goes_out_as_it_was_written(written: str, moment: datetime) -> None:
    event = decode_structured(structured("1", f',"time":"{written}","expirytime":"{written}"'))
    assert (event.time, event.expirytime) == (moment, moment)
    for travelled in journeys(event):
        assert f'"time":"{written}","expirytime":"{written}"'.encode() in travelled.published


@pytest.mark.parametrize(
    "written",
    ["2026-11-30T06:52:60Z", "2026-02-30T06:52:00Z", "2026-11-30T24:00:00Z", "2026-11-30T06:52:00." + "1" * 40 + "Z"],
)
def test_no_time_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(MalformedEvent, match="such as 2026-01-31T12:00:00Z"):
        decode_structured(structured("1", f',"time":"{written}"'))


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b"\xef\xbb\xbf" + structured('{"a":1}'), {"a": 1}),
        (structured('{"a\\ud83d":"b \\ud83d!"}'), {"a\ufffd": "b \ufffd!"}),
        (structured('{"a":"\\ud83d\\ude00 \\\\ud83d \\ude00"}'), {"a": "\U0001f600 \\ud83d \ufffd"}),
        (structured('{"a":"')[:-1] + b'\xed\xa0\xbd"}}', {"a": "\ufffd"}),
        (structured('{"n":1000000000000000000001,"a":"\\ud83d"}'), {"n": 10**21 + 1, "a": "\ufffd"}),
    ],
)
def test_what_a_reader_may_mend_is_mended_and_said(body: bytes, data: Any) -> None:
    event = decode_structured(body)
    assert event.data == data
    assert "byte order mark" in event.note or "U+FFFD" in event.note
    assert json.loads(event.published)["data"] == data
    assert b'\\ud83d"' not in event.published


def test_half_an_emoji_in_an_attribute_becomes_a_replacement_too() -> None:
    assert decode_structured(structured("1", ',"subject":"Great \\ud83d"')).subject == "Great \ufffd"


@pytest.mark.parametrize("name", ["id", "source"])
def test_half_an_emoji_is_not_mended_in_what_events_are_told_apart_by(name: str) -> None:
    wire = {**NAMES, name: "a\ud83d"}
    with pytest.raises(MalformedEvent, match="told apart by it") as error:
        decode_structured(json.dumps(wire).encode())
    assert error.value.field == name


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("﻿{}".encode("utf-16"), "UTF-16, and only UTF-8"),
        (structured('"?"').replace(b"?", b"\xff"), "not UTF-8.*at byte"),
        (b'{"a":', "cannot be read as JSON"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, words: str) -> None:
    with pytest.raises(MalformedEvent, match=words):
        decode_structured(body)


def test_names_are_read_in_lower_case_in_structured_mode_as_in_binary() -> None:
    event = decode_structured(f'{HEAD},"methodName":"m","Subject":"s"}}'.encode())
    assert (event.extensions, event.subject) == ({"methodname": "m"}, "s")
    assert "'methodName' was read as 'methodname'" in event.note


def test_two_names_that_are_one_are_refused_and_both_are_named() -> None:
    with pytest.raises(MalformedEvent, match="'methodname' and 'methodName' are one"):
        decode_structured(f'{HEAD},"methodname":"a","methodName":"b"}}'.encode())


@pytest.mark.parametrize("name", ["subject", "time", "datacontenttype", "data_base64", "tenant", "methodname", "data"])
def test_a_null_attribute_is_none(name: str) -> None:
    event = decode_structured(f'{HEAD},"{name}":null}}'.encode())
    assert event == decode_structured(f"{HEAD}}}".encode())


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", None, "application/cloudevents", "application/octet-stream"]
)
def test_an_event_in_the_body_is_one_under_any_content_type(content_type: str | None) -> None:
    event = decode_message({}, content_type, structured('{"a":1}'))
    assert event is not None
    assert event.data == {"a": 1}
    assert "content type" in event.note


def test_headers_that_name_an_event_make_its_body_the_data_whatever_that_is() -> None:
    event = decode_message(NAMES, "application/json", structured('{"a":1}'))
    assert event is not None
    assert event.data["data"] == {"a": 1}
    other = decode_message({**NAMES, "id": "2"}, "application/cloudevents+json", b'{"a":1}')
    assert other is not None
    assert (other.id, other.data) == ("2", {"a": 1})


@pytest.mark.parametrize(
    ("content_type", "attribute", "data"),
    [
        ("application/cloudevents", "application/json", {"m": 1}),
        ("application/cloudevents", None, {"m": 1}),
        ("application/octet-stream", "application/vnd.shop+json", {"m": 1}),
        ("application/json; charset=utf-8", "application/json", {"m": 1}),
        ("application/json", "text/plain", '{"m":1}'),
    ],
)
def test_a_binary_message_is_of_the_type_its_attribute_says(
    content_type: str, attribute: str | None, data: Any
) -> None:
    names = NAMES if attribute is None else {**NAMES, "datacontenttype": attribute}
    event = decode_message(names, content_type, b'{"m":1}')
    assert event is not None
    assert event.data == data


def test_data_in_base64_is_read_as_in_binary_mode() -> None:
    def embedded(content_type: str | None, data: bytes) -> Event:
        wire = {**NAMES, "datacontenttype": content_type, "data_base64": base64.b64encode(data).decode()}
        return decode_structured(json.dumps(wire).encode())

    for content_type, body in (
        ("application/json", b'{"a":1.10}'),
        (None, b'{"a":1}'),
        ("text/plain", b"hi"),
        ("image/png", b"\xff"),
    ):
        one, other = embedded(content_type, body), decode_binary(NAMES, content_type, body)
        assert one == other
        assert one.published == other.published
    assert embedded(None, b"\xff").data_base64 == "/w=="
    assert embedded("text/plain", b"\xff").data_base64 == "/w=="
    with pytest.raises(MalformedEvent, match="the data cannot be read as JSON"):
        embedded("application/json", b"{")


text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
numbers = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    text,
    text,
    values.filter(lambda value: value is not None),
    st.sampled_from(["application/json", "application/vnd.x+json; charset=utf-8", None]),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_any_event_is_the_same_in_any_mode(
    identity: str, subject: str, value: Any, content_type: str | None, separators: Any
) -> None:
    # Given an event as a library would write it
    spell = write_json(value).decode()
    head = {**NAMES, "id": identity, "subject": subject, **({"datacontenttype": content_type} if content_type else {})}
    plain = json.dumps(head, separators=separators)[:-1].encode()

    # When it comes in each mode
    events = [
        decode_message({}, "application/cloudevents+json", plain + b',"data":' + spell.encode() + b"}"),
        decode_message({}, "application/json", plain + b', "data" :' + spell.encode() + b"}"),
        decode_message(
            {},
            "application/cloudevents+json",
            json.dumps({**head, "data_base64": base64.b64encode(spell.encode()).decode()}).encode(),
        ),
        decode_message({n: v for n, v in head.items() if n != "datacontenttype"}, content_type, spell.encode()),
    ]

    # Then it is one event, and goes out as one
    for event in events:
        assert event is not None
        assert event == events[0]
        assert event.published == events[0].published  # type: ignore[union-attr]
        assert Batch.decode(arrived(encode_batch(in_batch(event)).body)).events[0] == event


@given(
    st.dictionaries(
        st.sampled_from(["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "Id"]),
        st.text(max_size=10) | st.just("1.0"),
        max_size=8,
    ),
    st.none()
    | st.text(max_size=30)
    | st.sampled_from(["application/cloudevents+json", "application/json", "text/plain", "application/cloudevents"]),
    st.binary(max_size=80) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
)
def test_any_bytes_are_an_event_or_refused_with_a_reason(
    attributes: dict[str, str], content_type: str | None, body: bytes
) -> None:
    for names in (attributes, {**attributes, **NAMES}):
        for content in (body, b'{"specversion":"1.0",' + body, HEAD.encode() + b',"data":' + body + b"}"):
            with suppress(InvalidEvent):
                event = decode_message(names, content_type, content)
                assert event is None or journeys(event)[1].published == event.published
