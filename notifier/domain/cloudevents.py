"""CloudEvents 1.0 as bytes → `Event`: structured JSON, binary mode and batches, one rule for every binding.

A message is read as what it is, not only as what it is called: publishers' libraries differ in what they write into
content types and headers, and hardly in what they mean. What is mended is said in `Event.repairs`.

Whatever arrives, only `MalformedEvent` and `EventTooLarge` leave: a stranger's bytes must end in ``failed-intake`` with
a reason, never in a traceback. Of a repeated JSON key the last one counts (RFC 8259 §4 leaves it open).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from notifier.domain.event import DATA_JSON, Event
from notifier.domain.json_spans import elements
from notifier.domain.json_text import NotJson, may_lose, plain_json, read_exactly, read_fast
from notifier.domain.media import check_charset, is_json, is_media_type, media_type
from notifier.domain.repairs import HALF, mended, unreadable
from notifier.errors import EventTooLarge, MalformedEvent

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
#: Said by Spring of binary messages, and by others of structured ones: it names no format.
_SOME_EVENT = "application/cloudevents"
#: Bytes of one event; RabbitMQ 4 refuses messages over 16 MiB and a worker holds as many as it prefetches.
MAX_BYTES = 256 * 1024
#: Levels of objects and lists of data. orjson stops at 1,024, but templates, schemas and pydantic recurse on what it
#: lets in.
MAX_DEPTH = 64
#: Events in one HTTP batch.
MAX_EVENTS = 1000
#: Attributes besides data; the specification names eight, and extensions are few.
_MAX_ATTRIBUTES = 100
_REQUIRED = frozenset({"specversion", "id", "source", "type"})


def decode_message(
    attributes: Mapping[str, str], content_type: str | None, body: bytes, max_bytes: int = MAX_BYTES
) -> Event | None:
    """One event of a message; ``attributes`` are its headers without their prefix. None when it is none.

    Headers that name an event make it binary, unless the content type says structured and the body is an event. Without
    such headers the body is the event, whatever its content type.
    """
    if content_type == STRUCTURED and not attributes:
        return decode_structured(body, max_bytes)
    check_size(len(body), max_bytes)
    media = media_type(content_type)
    if media == BATCH:
        raise MalformedEvent("a batch in one message: publish one message per event")
    if media.startswith(f"{_SOME_EVENT}+") and media != STRUCTURED:
        raise MalformedEvent(f"content type {media[:80]!r}: of the structured formats only {STRUCTURED} is read")
    is_binary = attributes.keys() >= _REQUIRED
    if media == STRUCTURED and not (is_binary and not is_event(body)):
        check_charset(content_type)
        return decode_structured(body, max_bytes)
    if not is_binary and is_event(body):
        event = decode_structured(body, max_bytes)
        said = f"read as a structured event though its content type is {media[:80] or 'missing'}"
        return event.learn(repairs=(*event.repairs, said))
    if not attributes:
        return None
    return decode_binary(attributes, content_type, body, max_bytes)


def is_event(body: bytes) -> bool:
    """Whether it is a JSON object that says which CloudEvents it is of."""
    if b"specversion" not in body.lower():
        return False
    try:
        value = _parse(body, "the event", levels=2)[0]
    except MalformedEvent:
        # It may well be one, and reading it will say what is wrong.
        return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    return isinstance(value, dict) and any(name.lower() == "specversion" for name in value)


def is_batch(body: bytes) -> bool:
    """Whether it looks like a JSON array of events."""
    return b'"specversion"' in body.lower() and body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def decode_structured(body: bytes, max_bytes: int = MAX_BYTES) -> Event:
    """One event in structured JSON mode (CloudEvents JSON format §3)."""
    check_size(len(body), max_bytes)
    value, _, known = _parse(body, "the event", levels=1)
    return _from_object(value, known)


def decode_batch(
    body: bytes, max_bytes: int = MAX_BYTES, max_event_bytes: int = MAX_BYTES, repair: str = ""
) -> list[Event]:
    """The events of one ``application/cloudevents-batch+json`` body; one wrong event refuses the batch.

    ``repair`` is what was mended of the message that brought it.
    """
    check_size(len(body), max_bytes)
    entries, body, known = _parse(body, "the batch", levels=2)
    if not isinstance(entries, list):
        raise MalformedEvent("a batch is a JSON array of events")
    if len(entries) > MAX_EVENTS:
        raise EventTooLarge(f"the batch has {len(entries):,} events; {MAX_EVENTS:,} are allowed")
    if repair:
        known["repairs"] = (*known.get("repairs", ()), repair)
    return [
        _batch_entry(index, entry, text, known, max_event_bytes)
        for index, (entry, text) in enumerate(zip(entries, elements(body), strict=True))
    ]


def decode_object(wire: Any, text: bytes | None = None) -> Event:
    """An event that has been read as JSON, from this text if it matters how that spells it."""
    _check_depth(wire, "the event", levels=1)
    return _from_object(wire, {} if text is None else _spelling(wire, text, levels=1))


def decode_binary(
    attributes: Mapping[str, str], content_type: str | None, body: bytes, max_bytes: int = MAX_BYTES
) -> Event:
    """One event in binary mode: ``attributes`` without their prefix, ``body`` is the data of ``content_type``."""
    check_size(len(body) + sum(len(name) + len(value) for name, value in attributes.items()), max_bytes)
    if misplaced := [name for name in ("data", "data_base64", DATA_JSON) if name in attributes]:
        raise MalformedEvent(f"attribute {misplaced[0]!r}: in binary mode the body is the data", misplaced[0])
    content_type = _type_of_data(attributes.get("datacontenttype"), content_type)
    data = _data(content_type, body)
    wire: dict[str, Any] = {**attributes, **data.fields}
    if content_type:
        wire["datacontenttype"] = content_type
    return _from_object(wire, data.known)


class _Data(NamedTuple):
    """Data that came as bytes, as attributes of its event, and what the event learns of it."""

    fields: dict[str, Any]
    known: Mapping[str, Any] = {}


def _type_of_data(attribute: str | None, content_type: str | None) -> str | None:
    """What the body is. The attribute is the publisher's own word where a library put one beside the content type."""
    if attribute is None:
        return None if media_type(content_type) == _SOME_EVENT else content_type
    if media_type(attribute) == media_type(content_type):
        return content_type
    if not is_media_type(media_type(attribute)):
        raise MalformedEvent(
            f"datacontenttype is {attribute[:40]!r}, which is no media type; leave it to the content type",
            "datacontenttype",
        )
    return attribute


def _data(content_type: str | None, body: bytes) -> _Data:
    """Bytes as data: JSON where their type says so, or says nothing and they are; text; or base64."""
    if not body:
        return _Data({})
    media = media_type(content_type)
    if is_json(media):
        check_charset(content_type)
        try:
            value, _, known = _parse(body, "the data")
        except MalformedEvent:
            if media:
                raise
            return _Data(_base64(body), {"repairs": ("data without a content type is no JSON: kept as data_base64",)})
        return _Data({"data": value}, known)
    if media.startswith("text/"):
        check_charset(content_type)
        try:
            return _Data({"data": body.decode("utf-8")})
        except UnicodeDecodeError as error:
            raise MalformedEvent(f"the data is not UTF-8: {error.reason} at byte {error.start}", "data") from error
    return _Data(_base64(body))


def _base64(body: bytes) -> dict[str, Any]:
    return {"data_base64": base64.b64encode(body).decode("ascii")}


def _batch_entry(index: int, entry: Any, text: bytes, known: dict[str, Any], max_bytes: int) -> Event:
    try:
        check_size(len(text), max_bytes)
        event = _from_object(entry, {**known, **_spelling(entry, text, levels=1)})
    except MalformedEvent as error:
        raise MalformedEvent(f"event {index} of the batch: {error}", error.field) from error
    except EventTooLarge as error:
        raise EventTooLarge(f"event {index} of the batch: {error}") from error
    return event


def _from_object(wire: Any, known: Mapping[str, Any]) -> Event:
    if not isinstance(wire, dict):
        raise MalformedEvent("an event is a JSON object with specversion, id, source and type")
    if len(wire) > _MAX_ATTRIBUTES:
        raise MalformedEvent(f"the event has {len(wire)} attributes; {_MAX_ATTRIBUTES} are allowed")
    # A null attribute is the same as none (CloudEvents JSON format §2.2).
    if None in wire.values():
        wire = {name: value for name, value in wire.items() if value is not None}
    if DATA_JSON in wire:
        raise MalformedEvent(f"attribute {DATA_JSON!r}: names are lower-case letters and digits only", DATA_JSON)
    try:
        return _read(wire, known)
    except MalformedEvent:
        if not (unusual := [name for name in wire if name != name.lower()]):
            raise
    event = _read(_lowered(wire), known)
    named = (f"attribute {name[:40]!r} was read as {name[:40].lower()!r}" for name in unusual)
    return event.learn(repairs=(*event.repairs, *named))


def _lowered(wire: Mapping[str, Any]) -> dict[str, Any]:
    """Names as CloudEvents §3.1 writes them, and as binary mode has them anyway."""
    spelled: dict[str, str] = {}
    for name in wire:
        other = spelled.setdefault(name.lower(), name)
        if other is not name:
            raise MalformedEvent(
                f"attributes {other[:40]!r} and {name[:40]!r} are one: names are lower-case; send one of them",
                name[:40],
            )
    return {name: wire[written] for name, written in spelled.items()}


def _read(wire: dict[str, Any], known: Mapping[str, Any]) -> Event:
    if "data_base64" in wire and (data := _embedded(wire)) is not None:
        wire = {**{name: value for name, value in wire.items() if name != "data_base64"}, **data.fields}
        repairs = (*known.get("repairs", ()), *data.known.get("repairs", ()))
        known = {**data.known, "repairs": repairs}
    event = Event.from_attributes(wire)
    if known:
        event.learn(**known)
        if HALF in event.repairs:
            _check_identity(event)
    return event


def _check_identity(event: Event) -> None:
    """Two ids that were cut within an emoji may become one, and the second event would be a duplicate."""
    for name in ("id", "source"):
        if "\ufffd" in getattr(event, name):
            raise MalformedEvent(f"attribute {name!r}: {HALF}, and events are told apart by it; write it whole", name)


def _embedded(wire: Mapping[str, Any]) -> _Data | None:
    """``data_base64`` as the same bytes would be in binary mode; None for what stays as it is, right or wrong."""
    encoded, content_type = wire["data_base64"], wire.get("datacontenttype")
    if not isinstance(encoded, str) or not isinstance(content_type, str | None) or "data" in wire:
        return None
    try:
        body = base64.b64decode(encoded, validate=True)
        data = _data(content_type, body)
    except (ValueError, binascii.Error):
        return None
    except MalformedEvent:
        if is_json(media_type(content_type)):
            raise
        return None
    return None if "data_base64" in data.fields else data


def _parse(body: bytes, what: str, levels: int = 0) -> tuple[Any, bytes, dict[str, Any]]:
    """The value, the text it was read from, and what its event learns of that.

    ``levels`` is what lies around data: then the text is a whole event, or several.
    """
    known: dict[str, Any] = {}
    try:
        value = read_fast(body)
    except NotJson as error:
        whole, repairs = mended(body)
        if not repairs:
            raise _unread(body, what, error) from error
        body, value = whole, _again(read_fast, whole, what)
        known["repairs"] = repairs
    known |= _spelling(value, body, levels)
    if "origin" in known and may_lose(body):
        value = _again(read_exactly, body, what)
    # Counting brackets is two memory scans; only a document with that many is worth a walk.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _check_depth(value, what, levels)
    return value, body, known


def _check_depth(value: Any, what: str, levels: int) -> None:
    if _is_deeper(value, MAX_DEPTH + levels):
        raise MalformedEvent(f"{what} is nested deeper than {MAX_DEPTH} levels: publish flatter data, or a link to it")


def _again(read: Callable[[bytes], Any], body: bytes, what: str) -> Any:
    try:
        return read(body)
    except NotJson as error:
        raise _unread(body, what, error) from error


def _unread(body: bytes, what: str, error: NotJson) -> MalformedEvent:
    return MalformedEvent(f"{what} cannot be read as JSON: {unreadable(body) or error}")


def _spelling(value: Any, body: bytes, levels: int) -> dict[str, Any]:
    """How the text spells data: as we write it, and then no number was changed by reading it fast; or otherwise."""
    data = value if levels == 0 else value.get("data") if type(value) is dict else None
    ours = None if data is None else plain_json(data)
    if ours is not None and levels == 0:
        is_ours = body == ours
    elif ours is not None:
        at = body.find(b'"data":') + 7
        end = at + len(ours)
        is_ours = body.startswith(ours, at) and body[end : end + 1] in (b"}", b",")
    else:
        is_ours = False
    return {"data_json": ours} if is_ours else {"origin": (body, levels > 0)}


def _is_deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return False
        level = [child for item in containers for child in (item.values() if isinstance(item, dict) else item)]
    return True


def check_size(size: int, limit: int) -> None:
    """Raises `EventTooLarge`."""
    if size > limit:
        raise EventTooLarge(
            f"the event has {size:,} bytes and {limit:,} are allowed: publish a link to large content, not the content"
        )
