"""An AMQP message → `Event`: structured and binary CloudEvents, however the publisher's client spelled the headers.

The CloudEvents AMQP binding is written for AMQP 1.0; RabbitMQ maps its application properties to AMQP 0-9-1 headers
and its content type to ``content_type``, so both protocols arrive here alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pika

from notifier.domain.cloudevents import (
    BATCH,
    MAX_BYTES,
    STRUCTURED,
    check_charset,
    decode_binary,
    decode_structured,
    media_type,
)
from notifier.domain.event import Event
from notifier.errors import MalformedEvent

#: The binding's two spellings, and the HTTP one that publishers copy over. One message uses one of them.
PREFIXES = ("cloudEvents:", "cloudEvents_", "ce-")
_LOWER = tuple(prefix.lower() for prefix in PREFIXES)


def decode(properties: pika.BasicProperties, body: bytes, max_bytes: int = MAX_BYTES) -> Event:
    """Raises `MalformedEvent` or `EventTooLarge`, and nothing else."""
    encoding = (properties.content_encoding or "").strip().lower()
    if encoding not in ("", "utf-8", "utf8", "identity"):
        raise MalformedEvent(f"content encoding {encoding[:40]!r}: publish events uncompressed")
    content_type = _text(properties.content_type) if properties.content_type else None
    media = media_type(content_type)
    if media == STRUCTURED:
        check_charset(content_type)
        return decode_structured(body, max_bytes)
    if media == BATCH:
        raise MalformedEvent("a batch in one AMQP message: publish one message per event")
    if media.startswith("application/cloudevents"):
        raise MalformedEvent(f"content type {media[:80]!r}: of the structured formats only {STRUCTURED} is read")
    attributes = _attributes(properties.headers or {})
    if not attributes:
        raise MalformedEvent(
            f"not a CloudEvent: the content type is {media[:80] or 'missing'}, not {STRUCTURED}, "
            "and there are no cloudEvents:… headers"
        )
    return decode_binary(attributes, content_type, body, max_bytes)


def _attributes(headers: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    used: set[str] = set()
    for header, value in headers.items():
        prefix = next((prefix for prefix in _LOWER if header.lower().startswith(prefix)), None)
        if prefix is None or value is None:
            continue
        name = header[len(prefix) :].lower()
        if name in found:
            raise MalformedEvent(f"attribute {name[:40]!r} is given twice", name[:40])
        found[name] = _text(value)
        used.add(prefix)
    if len(used) > 1:
        raise MalformedEvent(f"headers mix the prefixes {' and '.join(sorted(used))}; use one of them")
    return found


def _text(value: Any) -> str:
    """A header value as the string CloudEvents means by it (CloudEvents §2.2)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        # AMQP timestamps are UTC; pika gives them without saying so.
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedEvent("a header is not UTF-8") from error
    if isinstance(value, int):
        return str(value)
    raise MalformedEvent(f"a header holds {type(value).__name__}; attributes are strings, numbers, booleans or times")
