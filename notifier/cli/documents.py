"""Reading events from a file or standard input: one CloudEvent, a JSON array of them, or one JSON object a line."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from notifier.errors import MalformedEvent

if TYPE_CHECKING:
    from notifier.domain.event import Event


def read_text(name: str) -> str:
    """The file's text, or standard input's for ``-``. Raises `MalformedEvent` when it cannot be read."""
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedEvent(f"cannot read {name}: {error}") from error


def read_events(name: str, defaults: Mapping[str, str]) -> list[Event]:
    """Every event of a file. ``defaults`` fill in attributes that are missing; an id is made up where there is none.

    Raises `MalformedEvent` that names the file and the entry, before anything is published.
    """
    from notifier.domain.event import Event

    events: list[Event] = []
    for place, entry in _entries(name, read_text(name)):
        if not isinstance(entry, dict):
            raise MalformedEvent(f"{place}: expected a JSON object, found {type(entry).__name__}")
        try:
            events.append(Event.from_attributes(_completed(entry, defaults)))
        except MalformedEvent as error:
            raise MalformedEvent(f"{place}: {error}", error.field) from error
    if not events:
        raise MalformedEvent(f"{name}: there is no event in it")
    return events


def _completed(entry: Mapping[str, Any], defaults: Mapping[str, str]) -> dict[str, Any]:
    """An object without ``specversion`` is taken as the data of an event whose attributes come from the options."""
    given = {name: value for name, value in defaults.items() if value}
    if "specversion" in entry:
        return {**entry, **given}
    return {"specversion": "1.0", "id": str(uuid.uuid4()), **given, "data": dict(entry)}


def _entries(name: str, text: str) -> Iterator[tuple[str, Any]]:
    try:
        whole = json.loads(text)
    except ValueError as error:
        yield from _lines(name, text, error)
        return
    if isinstance(whole, list):
        yield from ((f"{name}: event {index}", entry) for index, entry in enumerate(whole, 1))
    else:
        yield name, whole


def _lines(name: str, text: str, whole: ValueError) -> Iterator[tuple[str, Any]]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for number, line in lines:
        try:
            yield f"{name}:{number}", json.loads(line)
        except ValueError as error:
            # A first line that is no JSON by itself means one broken document, whose own error says more.
            why = whole if number == lines[0][0] else error
            raise MalformedEvent(f"{name}:{number}: not JSON: {why}") from error
