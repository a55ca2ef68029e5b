"""`Event`: what a service publishes, checked and written as structured CloudEvents JSON before it leaves the caller."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from itertools import count
from typing import Any

from notifier.client.errors import InvalidEvent

#: Bytes; the service's default for NOTIFIER_EVENT_MAX_BYTES.
MAX_BYTES = 256 * 1024
#: Levels of objects and lists of data, and digits of one number, that the service reads.
MAX_DEPTH = 64
MAX_DIGITS = 500
CONTENT_TYPE = "application/cloudevents+json"
#: What a message without the property counts as: quorum queues of RabbitMQ 4.3 serve strictly by it.
PRIORITY = 4
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,1024}")
#: Of this many digits in a row a number may be too long; in a text they may be anything.
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))
_NAME = re.compile(r"[a-z0-9]{1,40}")
_RESERVED = frozenset(
    {
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "data",
        "data_base64",
        "tenant",
        "expirytime",
        "traceparent",
        "partitionkey",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One fact. ``source`` and ``id`` together identify it: published twice, it is still one event."""

    type: str
    """What happened, such as ``order.placed``."""
    data: Any = None
    """Anything JSON can say; datetimes, decimals, UUIDs and enums are written as text."""
    source: str = ""
    """Which service says so, such as ``/shop/orders``; empty means the publisher's."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    subject: str | None = None
    tenant: str | None = None
    time: datetime | None = None
    """When it happened, with a time zone."""
    expirytime: datetime | None = None
    """From then on nothing is sent for it; with a time zone."""
    traceparent: str | None = None
    partitionkey: str | None = None
    dataschema: str | None = None
    extensions: Mapping[str, str | int | bool] = field(default_factory=dict)
    """Further CloudEvents attributes; names are lower-case letters and digits."""


def encode(event: Event) -> bytes:
    """The event as bytes. Raises `InvalidEvent` saying which attribute is wrong."""
    wire: dict[str, Any] = {"specversion": "1.0"}
    for name in ("id", "source", "type", "subject", "tenant", "traceparent", "partitionkey", "dataschema"):
        value = getattr(event, name)
        if value is not None:
            wire[name] = _text(event, name, value)
    for name in ("time", "expirytime"):
        moment = getattr(event, name)
        if moment is not None:
            wire[name] = _moment(event, name, moment)
    for name, value in event.extensions.items():
        wire[name] = _extension(event, name, value)
    if event.data is not None:
        wire["data"] = event.data
    return _written(event, wire)


def _written(event: Event, wire: dict[str, Any]) -> bytes:
    try:
        body = json.dumps(wire, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_text).encode(
            "utf-8"
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEvent(f"data cannot be written as JSON: {error}", event.id) from error
    if len(body) > MAX_BYTES:
        raise InvalidEvent(
            f"{len(body):,} bytes; {MAX_BYTES:,} are allowed: publish a link to large content instead", event.id
        )
    # Counting brackets and looking for long numbers is fast; only what has them is worth a walk.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH or _LONG_NUMBER.search(body):
        _check_limits(event)
    return body


def _check_limits(event: Event) -> None:
    level = [event.data]
    for depth in count():
        if any(isinstance(value, int) and abs(value) >= 10**MAX_DIGITS for value in level):
            raise InvalidEvent(f"a number has more than {MAX_DIGITS} digits: publish it as a text", event.id)
        within = [value for value in level if isinstance(value, dict | list | tuple)]
        if not within:
            return
        if depth == MAX_DEPTH:
            raise InvalidEvent(f"data is nested deeper than {MAX_DEPTH} levels: publish flatter data", event.id)
        level = [item for value in within for item in (value.values() if isinstance(value, dict) else value)]


def _as_text(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, uuid.UUID | Decimal):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} is not JSON; convert it first")


def _text(event: Event, name: str, value: Any) -> str:
    if not isinstance(value, str) or not _TEXT.fullmatch(value):
        raise InvalidEvent(f"{name} must be text of 1 to 1,024 characters without control characters", _id(event))
    return value


def _moment(event: Event, name: str, value: Any) -> str:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidEvent(f"{name} must be a datetime with a time zone", _id(event))
    return value.isoformat()


def _extension(event: Event, name: str, value: Any) -> str | int | bool:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _RESERVED:
        raise InvalidEvent(f"extension {name!r}: use lower-case letters and digits, no attribute's name", _id(event))
    if isinstance(value, bool | int):
        return value
    return _text(event, f"extension {name}", value)


def _id(event: Event) -> str:
    return event.id if isinstance(event.id, str) else ""
