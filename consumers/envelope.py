"""An AMQP message → `Event`: structured and binary CloudEvents, however the publisher's client spelled the headers.

The CloudEvents AMQP binding is written for AMQP 1.0; RabbitMQ maps its application properties to AMQP 0-9-1 headers
and its content type to ``content_type``, so both protocols arrive here alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pika

from notifier.domain.cloudevents import MAX_BYTES, STRUCTURED, decode_message
from notifier.domain.event import Event
from notifier.domain.identity import PREFIXES
from notifier.domain.media import media_type
from notifier.errors import MalformedEvent

#: Seconds of the year 5138; as milliseconds it was 1973.
_MILLISECONDS = 10**11
_LOWER = tuple(prefix.lower() for prefix in PREFIXES)


def decode(properties: pika.BasicProperties, body: bytes, max_bytes: int = MAX_BYTES) -> Event:
    """Raises `MalformedEvent` or `EventTooLarge`, and nothing else."""
    encoding, headers = properties.content_encoding, properties.headers
    if encoding and encoding.strip().lower() not in ("", "utf-8", "utf8", "identity"):
        raise MalformedEvent(f"content encoding {encoding[:40]!r}: publish events uncompressed")
    content_type = _text(properties.content_type) if properties.content_type else None
    event = decode_message(_attributes(headers) if headers else {}, content_type, body, max_bytes)
    if event is None:
        raise MalformedEvent(
            f"not a CloudEvent: the content type is {media_type(content_type)[:80] or 'missing'}, not {STRUCTURED}, "
            "the body is no JSON object with specversion, id, source and type, and there are no cloudEvents:… headers"
        )
    return event


def _attributes(headers: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    used: set[str] = set()
    for header, value in headers.items():
        lower = header.lower()
        if not lower.startswith(_LOWER) or value is None:
            continue
        # `ce-` and `ce_`, or `cloudevents:` and `cloudevents_`.
        prefix = lower[: 3 if lower[2] in "-_" else 12]
        name = lower[len(prefix) :]
        if name in found:
            raise MalformedEvent(f"attribute {name[:40]!r} is given twice", name[:40])
        is_time = type(value) is int and name in ("time", "expirytime")
        found[name] = _text(_instant(value) if is_time else value)
        used.add(prefix)
    if len(used) > 1:
        raise MalformedEvent(f"headers mix the prefixes {' and '.join(sorted(used))}; use one of them")
    return found


def _instant(number: int) -> datetime:
    """An AMQP 1.0 timestamp, which cloudevents 2 for Python sends as the milliseconds it is; seconds in 0-9-1."""
    try:
        return datetime.fromtimestamp(number / 1000 if abs(number) >= _MILLISECONDS else number, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise MalformedEvent("a header with a time is out of range") from error


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
    if isinstance(value, Decimal | float) and math.isfinite(value):
        return f"{value:f}" if isinstance(value, Decimal) else repr(value)
    raise MalformedEvent(f"a header holds {type(value).__name__}; attributes are strings, numbers, booleans or times")
