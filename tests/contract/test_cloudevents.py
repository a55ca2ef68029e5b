"""Messages of other people's libraries, as bytes: whatever they wrote, in any mode, is the event they meant.

``cloudevents/*.json`` were recorded by running the libraries they name; ``samples.json`` names documents and issues.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pika
import pytest

from consumers.envelope import decode
from notifier.api.cloudevents_http import decode as decode_http
from notifier.domain.event import Event

FOLDER = Path(__file__).parent / "cloudevents"
RECORDED = [
    pytest.param(message, id=f"{file}-{message['binding']}-{message['mode']}-{message['name']}")
    for file in ("python1", "python2", "npm")
    for message in json.loads((FOLDER / f"{file}.json").read_text())["messages"]
]
SAMPLES = [
    pytest.param(message, id=message["source"])
    for message in json.loads((FOLDER / "samples.json").read_text())["messages"]
]
DATA = {
    "json": {"to": "ada@example.com", "n": 17},
    "no type": {"to": "ada@example.com", "n": 17},
    "json bytes": {"to": "ada@example.com", "n": 17},
    "boolean": {"to": "ada@example.com", "n": 17},
    "cut emoji": {"to": "ada@example.com", "n": 17, "text": "Great �"},
    "text": "grün",
    "bytes": None,
}


def body_of(message: dict[str, Any]) -> bytes:
    return base64.b64decode(message["body_base64"]) if "body_base64" in message else message["body"].encode()


def by_amqp(message: dict[str, Any]) -> Event:
    properties = pika.BasicProperties(content_type=message["content_type"], headers=message["headers"])
    return decode(properties, body_of(message))


def by_http(message: dict[str, Any]) -> Event:
    headers = [(name.encode(), str(value).encode()) for name, value in message["headers"].items()]
    if message["content_type"]:
        headers.append((b"content-type", message["content_type"].encode()))
    (event,) = decode_http(headers, body_of(message), event_bytes=10_000, batch_bytes=10_000)
    return event


@pytest.mark.parametrize("message", RECORDED)
def test_what_a_library_wrote_is_the_event_it_was_given(message: dict[str, Any]) -> None:
    # Given a message as a library wrote it; cloudevents 1 for Python writes text in binary mode as JSON
    expected = DATA[message["name"]]
    if message["name"] == "text" and message["body"].startswith('"'):
        expected = message["body"]

    # When it is read, over AMQP whatever it was written for
    event = by_amqp(message)

    # Then it is the event that was written
    assert (event.id, event.type, event.extensions["traceid"]) == ("a-1", "order.placed", "abc")
    assert event.data == expected
    assert event.written_time is not None
    assert event.written_time.startswith("2026-11-30T06:52:00.123")
    if message["name"] == "bytes":
        assert base64.b64decode(event.data_base64 or "") == b"\x89PNG\x00"
    if "ce-subject" not in message["headers"] or "%" not in message["headers"]["ce-subject"]:
        assert event.subject == "grün ü"


@pytest.mark.parametrize("message", [param for param in RECORDED if param.values[0]["binding"] == "http"])  # type: ignore[index]
def test_http_reads_it_alike(message: dict[str, Any]) -> None:
    over_http, over_amqp = by_http(message), by_amqp(message)

    assert over_http.subject == "grün ü"
    assert (over_http.data, over_http.data_base64) == (over_amqp.data, over_amqp.data_base64)
    assert over_http.key == over_amqp.key


@pytest.mark.parametrize("message", SAMPLES)
def test_what_documents_and_issues_show_is_read(message: dict[str, Any]) -> None:
    assert by_amqp(message).data == message["data"]


@pytest.mark.parametrize("message", SAMPLES)
def test_what_goes_out_has_the_data_and_the_time_as_they_were_written(message: dict[str, Any]) -> None:
    # Given a message that was read
    event = by_amqp(message)

    # When it goes on to others
    published = json.loads(event.published)

    # Then nothing of it was spelled anew
    assert published["data"] == message["data"]
    if '"data":' in message["body"]:
        written = message["body"].split('"data":', 1)[1].lstrip()[:15]
        assert f'"data":{written}'.encode() in event.published
    assert (
        published.get("time") in (None, message["headers"].get("ce-time"))
        or f'"{published["time"]}"' in message["body"]
    )
