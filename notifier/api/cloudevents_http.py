"""CloudEvents over HTTP → `Event`s: structured, binary (``ce-*`` headers) and batched (HTTP protocol binding §3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from notifier.api.problems import HttpProblem
from notifier.domain.cloudevents import (
    BATCH,
    STRUCTURED,
    check_size,
    decode_batch,
    decode_message,
    is_batch,
)
from notifier.domain.event import Event
from notifier.domain.media import check_charset, media_type
from notifier.errors import MalformedEvent

_PREFIX = b"ce-"
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)


def decode(headers: Iterable[tuple[bytes, bytes]], body: bytes, *, event_bytes: int, batch_bytes: int) -> list[Event]:
    """The events of one request. Raises `InvalidEvent` with the attribute, or a 415 problem for another content type.

    ``headers`` are raw, as ASGI gives them: percent-decoding starts from bytes, not from someone's Latin-1 reading.
    """
    pairs = [(name.lower(), value) for name, value in headers]
    content_type = next((value.decode("latin-1") for name, value in pairs if name == b"content-type"), None)
    media = media_type(content_type)
    if media == BATCH:
        check_charset(content_type)
        return decode_batch(body, batch_bytes, event_bytes)
    attributes = _attributes(pairs)
    if not attributes and media != STRUCTURED and is_batch(body):
        return decode_batch(
            body, batch_bytes, event_bytes, f"read as a batch though its content type is {media[:80]!r}"
        )
    event = decode_message(attributes, content_type, body, event_bytes)
    if event is None:
        raise _no_event(media)
    # It goes on in structured mode, where data that is no JSON takes a third more.
    check_size(len(event.published), event_bytes)
    return [event]


def _attributes(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for header, value in pairs:
        if header.startswith(_PREFIX):
            name = header[len(_PREFIX) :].decode("latin-1")
            if name in found:
                raise MalformedEvent(f"header ce-{name} is given twice", name)
            found[name] = _value(name, value)
    return found


def _value(name: str, raw: bytes) -> str:
    """Unquote, then percent-decode once, then UTF-8 (HTTP protocol binding §3.1.3.2)."""
    if len(raw) >= 2 and raw[:1] == raw[-1:] == b'"':
        raw = _QUOTED_PAIR.sub(rb"\1", raw[1:-1])
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedEvent(f"header ce-{name} is not UTF-8 after percent-decoding", name) from error


def _no_event(media: str) -> HttpProblem:
    return HttpProblem(
        415,
        "content_type",
        "This is not a CloudEvent",
        f"the content type is {media[:80]!r}, there are no ce-* headers, and the body has no specversion",
        where="header Content-Type",
        do=f"send {STRUCTURED}, {BATCH}, or the data itself with the headers ce-specversion, ce-id, ce-source, ce-type",
        headers={"Accept": f"{STRUCTURED}, {BATCH}"},
    )
