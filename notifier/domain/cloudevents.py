"""CloudEvents 1.0 as bytes → `Event`: structured JSON, binary mode and batches, shared by the AMQP and HTTP edges.

Whatever arrives, only `MalformedEvent` and `EventTooLarge` leave: a stranger's bytes must end in ``failed-intake`` with
a reason, never in a traceback. Of a repeated JSON key the last one counts (RFC 8259 §4 leaves it open), and integers
beyond 64 bits become floats, as in every JavaScript publisher.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from notifier.domain.event import Event
from notifier.errors import EventTooLarge, MalformedEvent

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
#: Bytes of one event; RabbitMQ 4 refuses messages over 16 MiB and a worker holds as many as it prefetches.
MAX_BYTES = 256 * 1024
#: Levels of objects and lists. orjson stops at 1,024, but templates, schemas and pydantic recurse on what it lets in.
MAX_DEPTH = 64
#: Events in one HTTP batch.
MAX_EVENTS = 1000
#: Attributes besides data; the specification names eight, and extensions are few.
_MAX_ATTRIBUTES = 100
_UTF8 = ("utf-8", "utf8", "us-ascii", "ascii")


def decode_structured(body: bytes, max_bytes: int = MAX_BYTES) -> Event:
    """One event in structured JSON mode (CloudEvents JSON format §3)."""
    _check_size(len(body), max_bytes)
    return _from_object(_parse(body, "the event"))


def decode_batch(body: bytes, max_bytes: int = MAX_BYTES, max_event_bytes: int = MAX_BYTES) -> list[Event]:
    """The events of one ``application/cloudevents-batch+json`` body; one wrong event refuses the batch."""
    _check_size(len(body), max_bytes)
    entries = _parse(body, "the batch")
    if not isinstance(entries, list):
        raise MalformedEvent("a batch is a JSON array of events")
    if len(entries) > MAX_EVENTS:
        raise EventTooLarge(f"the batch has {len(entries):,} events; {MAX_EVENTS:,} are allowed")
    return [_batch_entry(index, entry, max_event_bytes) for index, entry in enumerate(entries)]


def decode_binary(
    attributes: Mapping[str, str], content_type: str | None, body: bytes, max_bytes: int = MAX_BYTES
) -> Event:
    """One event in binary mode: ``attributes`` without their prefix, ``body`` is the data of ``content_type``."""
    _check_size(len(body) + sum(len(name) + len(value) for name, value in attributes.items()), max_bytes)
    if "datacontenttype" in attributes:
        raise MalformedEvent(
            "datacontenttype is given as an attribute; in binary mode the content type says it", "datacontenttype"
        )
    if misplaced := [name for name in ("data", "data_base64") if name in attributes]:
        raise MalformedEvent(f"attribute {misplaced[0]!r}: in binary mode the body is the data", misplaced[0])
    wire: dict[str, Any] = {**attributes, **_data(content_type, body)}
    if content_type:
        wire["datacontenttype"] = content_type
    return _from_object(wire)


def media_type(content_type: str | None) -> str:
    """The type without parameters, in lower case: ``Application/JSON; charset=utf-8`` → ``application/json``."""
    return (content_type or "").partition(";")[0].strip().lower()


def check_charset(content_type: str | None) -> None:
    """Raises `MalformedEvent` unless the text is UTF-8 (JSON is nothing else, RFC 8259 §8.1)."""
    for parameter in (content_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip(" \"'").lower() not in _UTF8:
            raise MalformedEvent(f"charset {value.strip()[:40]!r}: only UTF-8 is read", "datacontenttype")


def is_json(media: str) -> bool:
    """Whether data of this type is a JSON value; no type at all means JSON (CloudEvents JSON format §3.1)."""
    return media in ("", "application/json", "text/json") or media.endswith("+json")


def _data(content_type: str | None, body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    media = media_type(content_type)
    if is_json(media):
        check_charset(content_type)
        return {"data": _parse(body, "the data")}
    if media.startswith("text/"):
        check_charset(content_type)
        try:
            return {"data": body.decode("utf-8")}
        except UnicodeDecodeError as error:
            raise MalformedEvent(f"the data is not UTF-8: {error.reason} at byte {error.start}", "data") from error
    return {"data_base64": base64.b64encode(body).decode("ascii")}


def _batch_entry(index: int, entry: Any, max_bytes: int) -> Event:
    try:
        event = _from_object(entry)
        _check_size(len(orjson.dumps(entry)), max_bytes)
    except MalformedEvent as error:
        raise MalformedEvent(f"event {index} of the batch: {error}", error.field) from error
    except EventTooLarge as error:
        raise EventTooLarge(f"event {index} of the batch: {error}") from error
    return event


def _from_object(wire: Any) -> Event:
    if not isinstance(wire, dict):
        raise MalformedEvent("an event is a JSON object with specversion, id, source and type")
    if len(wire) > _MAX_ATTRIBUTES:
        raise MalformedEvent(f"the event has {len(wire)} attributes; {_MAX_ATTRIBUTES} are allowed")
    # A null attribute is the same as none (CloudEvents JSON format §2.2).
    return Event.from_attributes({name: value for name, value in wire.items() if value is not None})


def _parse(body: bytes, what: str) -> Any:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedEvent(f"{what} is not JSON: {error}") from error
    # Counting brackets is two memory scans; only a document with that many is worth a walk.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise MalformedEvent(f"{what} is nested deeper than {MAX_DEPTH} levels")
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return False
        level = [child for item in containers for child in (item.values() if isinstance(item, dict) else item)]
    return True


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise EventTooLarge(
            f"the event has {size:,} bytes and {limit:,} are allowed: publish a link to large content, not the content"
        )
