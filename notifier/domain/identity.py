"""`Identity`: who a message says it is, also when it is no event: whoever published it asks for it by that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from json.decoder import scanstring  # type: ignore[attr-defined]  # the documented module, the undocumented name
from typing import Any

from notifier.domain.event import Event
from notifier.domain.ids import event_key

#: How headers that are attributes of an event begin: the AMQP binding's two spellings, the HTTP one that publishers
#: copy over, and Spring's for Kafka, which it also sends when it cannot tell where to. One message uses one of them.
PREFIXES = ("cloudEvents:", "cloudEvents_", "ce-", "ce_")
_LOWER = tuple(prefix.lower() for prefix in PREFIXES)
_NAMES = ("id", "source", "type", "time", "tenant")
#: Bytes of a body that are looked at: twice what an event may have. Nearly all publishers write who it is first.
_LOOKED_AT = 512 * 1024
_LIMIT = 1024
_SPACE = " \t\r\n"
#: Of numbers only the end matters here, and the longest would take the longest.
_PASS = json.JSONDecoder(parse_float=len, parse_int=len).raw_decode


@dataclass(frozen=True, slots=True)
class Identity:
    """What is not known is empty."""

    id: str = ""
    source: str = ""
    type: str = ""
    time: str = ""
    """As it was published."""
    tenant: str = ""

    @property
    def key(self) -> str:
        """The ledger's name of the event (`ids.event_key`); empty when the message does not say which it is."""
        return event_key(self.source, self.id) if self.source and self.id else ""

    @classmethod
    def of(cls, event: Event) -> Identity:
        """Of an event that was read."""
        return cls(event.id, event.source, event.type, event.written_time or "", event.tenant)

    @classmethod
    def found(cls, headers: Mapping[str, Any], body: bytes) -> Identity:
        """As far as it can be found in a message that is no event. Never raises."""
        known = dict(_in_headers(headers))
        if not known:
            members = dict(_in_body(body))
            is_event = "specversion" in members or members.keys() >= {"id", "source", "type"}
            known = members if is_event else {}
        found = cls(**{name: known.get(name, "") for name in _NAMES})
        return cls(found.id, found.source, found.type, found.time, found.tenant or ("default" if found.key else ""))


def _in_headers(headers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for header, value in headers.items():
        prefix = next((prefix for prefix in _LOWER if header.lower().startswith(prefix)), None)
        if prefix is not None and value is not None:
            yield header.lower()[len(prefix) :], _text(value)


def _in_body(body: bytes) -> Iterator[tuple[str, str]]:
    """The texts among the members of a JSON object, up to the first thing that is no JSON."""
    text = body[:_LOOKED_AT].decode("utf-8-sig", "replace")
    try:
        at = _skip(text, 0)
        if not text.startswith("{", at):
            return
        at = _skip(text, at + 1)
        while text.startswith('"', at):
            name, at = scanstring(text, at + 1, False)
            value, at = _PASS(text, _skip(text, _skip(text, at) + 1))
            if isinstance(value, str):
                yield name.lower(), _text(value)
            at = _skip(text, _skip(text, at) + 1)
    except (ValueError, RecursionError):
        return


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _text(value: Any) -> str:
    """As people may see it: one line, without what cannot be written."""
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode("utf-8", "replace")
    elif isinstance(value, datetime):
        value = value.isoformat()
    return "".join(c if c.isprintable() else "\ufffd" for c in str(value)[:_LIMIT])
