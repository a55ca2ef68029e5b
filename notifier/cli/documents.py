"""Reading events from a file or standard input: one CloudEvent, a JSON array of them, or one JSON object a line."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from notifier.errors import MalformedEvent

if TYPE_CHECKING:
    from notifier.domain.event import Event


def read_document(name: str) -> bytes:
    """The file's bytes, or standard input's for ``-``. Raises `MalformedEvent` when it cannot be read."""
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise MalformedEvent(f"cannot read {name}: {error}") from error


def read_events(name: str, defaults: Mapping[str, str]) -> list[Event]:
    """Every event of a file. ``defaults`` fill in attributes that are missing; an id is made up where there is none.

    Raises `MalformedEvent` that names the file and the entry, before anything is published.
    """
    from notifier.domain.cloudevents import decode_object

    events: list[Event] = []
    for place, entry, text in _entries(name, _mended(name, read_document(name))):
        if not isinstance(entry, dict):
            raise MalformedEvent(f"{place}: expected a JSON object, found {type(entry).__name__}")
        try:
            events.append(decode_object(*_completed(entry, text, defaults)))
        except MalformedEvent as error:
            raise MalformedEvent(f"{place}: {error}", error.field) from error
    if not events:
        raise MalformedEvent(f"{name}: there is no event in it")
    return events


def _mended(name: str, document: bytes) -> bytes:
    """The document as the service would read it, or why it cannot."""
    from notifier.domain.repairs import mended, unreadable

    whole, _ = mended(document)
    if why := unreadable(whole):
        raise MalformedEvent(
            f"{name}: {why}" + (" (in PowerShell: … | Out-File -Encoding utf8 FILE)" if "UTF-16" in why else "")
        )
    return whole


def _completed(entry: dict[str, Any], text: bytes, defaults: Mapping[str, str]) -> tuple[dict[str, Any], bytes]:
    """An object without ``specversion`` is taken as the data of an event whose attributes come from the options."""
    given = {name: value for name, value in defaults.items() if value}
    if any(name.lower() == "specversion" for name in entry):
        return {**entry, **given}, text
    return {"specversion": "1.0", "id": str(uuid.uuid4()), **given, "data": entry}, b'{"data":' + text + b"}"


def _entries(name: str, document: bytes) -> Iterator[tuple[str, Any, bytes]]:
    """Place, value and text of each entry."""
    from notifier.domain.json_spans import elements
    from notifier.domain.json_text import NotJson, read_json

    try:
        whole = read_json(document)
    except NotJson as error:
        yield from _lines(name, document, error)
        return
    if isinstance(whole, list):
        texts = zip(whole, elements(document), strict=True)
        yield from ((f"{name}: event {index}", entry, text) for index, (entry, text) in enumerate(texts, 1))
    else:
        yield name, whole, document


def _lines(name: str, document: bytes, whole: ValueError) -> Iterator[tuple[str, Any, bytes]]:
    from notifier.domain.json_text import NotJson, read_json

    lines = [(number, line) for number, line in enumerate(document.splitlines(), 1) if line.strip()]
    for number, line in lines:
        try:
            yield f"{name}:{number}", read_json(line), line
        except NotJson as error:
            # A first line that is no JSON by itself means one broken document, whose own error says more.
            why = whole if number == lines[0][0] else error
            raise MalformedEvent(f"{name}:{number}: not JSON: {why}") from error
