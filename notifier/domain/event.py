"""`Event`: a fact another service published, as a CloudEvent 1.0 (attributes: CloudEvents §3.1, types: §2.2)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Self
from zlib import crc32

import orjson
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, ValidationError

from notifier.domain.ids import event_key
from notifier.domain.json_spans import data_member
from notifier.domain.json_text import NotJson, is_exact, read_json, write_json
from notifier.domain.moment import EXPECTED, read_moment, write_moment
from notifier.domain.repairs import whole_characters
from notifier.errors import MalformedEvent

#: CloudEvents §2.2: strings carry no control characters, surrogates or non-characters. 1,024 keeps ids out of the
#: business of filling Redis and headers; the specification sets no bound.
_Text = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]

_NAME = re.compile("[a-z0-9]+")
#: The same for extensions, which may be empty; surrogates are left out because they cannot be written as UTF-8.
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,1024}")
#: A note is kept as long as the event is known.
NOTE_CHARACTERS = 300
#: Extension integers; CloudEvents §2.2 has 32 bits, and some publishers 64. What is longer is a text.
_INTEGERS = range(-(2**63), 2**63)
#: Where data travels whose JSON must not be written anew. No publisher's attribute: names have no underscore.
DATA_JSON = "data_json"


def _moment(value: Any) -> datetime:
    if isinstance(value, str):
        return read_moment(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    raise ValueError(EXPECTED)


# pydantic alone would also take unix seconds and bare dates, which CloudEvents §2.2 does not allow.
_Time = Annotated[datetime, PlainValidator(_moment)]

#: Attributes with a field of their own: CloudEvents' own, the extensions this service reads, and the data.
_FIELDS = frozenset({"id", "source", "type", "subject", "time", "datacontenttype", "dataschema"}) | frozenset(
    {"tenant", "expirytime", "traceparent", "partitionkey", "data", "data_base64"}
)
_OWN = _FIELDS | {"specversion", DATA_JSON}


class Event(BaseModel):
    """One CloudEvent. ``source`` and ``id`` together identify it.

    ``data`` is JSON (text is a JSON string); what is neither travels as ``data_base64``; only one of the two is set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,), hide_input_in_errors=True)

    id: _Text
    source: _Text
    type: _Text
    subject: _Text | None = None
    time: _Time | None = None
    datacontenttype: _Text | None = None
    dataschema: _Text | None = None
    tenant: _Text = "default"
    expirytime: _Time | None = None
    traceparent: _Text | None = None
    partitionkey: _Text | None = None
    extensions: dict[str, Any] = Field(default_factory=dict)  # pydantic deep-copies a `{}`: a third of reading an event
    data: Any = None
    data_base64: str | None = None

    @cached_property
    def key(self) -> str:
        """The ledger's name of this event (`ids.event_key`)."""
        return event_key(self.source, self.id)

    @cached_property
    def written_time(self) -> str | None:
        """``time`` as it was published."""
        return None if self.time is None else write_moment(self.time)

    @cached_property
    def written_expirytime(self) -> str | None:
        """``expirytime`` as it was published."""
        return None if self.expirytime is None else write_moment(self.expirytime)

    @cached_property
    def repairs(self) -> tuple[str, ...]:
        """What was mended when it was read, in words for its publisher; does not travel."""
        return ()

    @cached_property
    def origin(self) -> tuple[bytes, bool] | None:
        """JSON its data was read from, and whether that is a whole event's; None when we would write it alike."""
        return None

    @cached_property
    def data_json(self) -> bytes:
        """The data's JSON as it was published: what goes out says each number and each space as it came."""
        if self.origin is None:
            return write_json(self.data)
        body, is_whole = self.origin
        return (data_member(body) or write_json(self.data)) if is_whole else body.strip(b" \t\r\n")

    @cached_property
    def is_spelled(self) -> bool:
        """Whether we would write the data otherwise, so that its JSON has to travel as a text."""
        return self.origin is not None

    @property
    def note(self) -> str:
        """`repairs` as one text, for the ledger and whoever published it."""
        return "; ".join(self.repairs)[:NOTE_CHARACTERS]

    @cached_property
    def fingerprint(self) -> str:
        """What tells two contents under one id apart: not how they are spelled, and not when they were published."""
        if self.data_base64 is not None:
            data = self.data_base64.encode()
        else:
            try:
                data = orjson.dumps(self.data, option=orjson.OPT_SORT_KEYS)
            except TypeError:  # exact numbers
                data = write_json(self.data)
        return f"{crc32(data, crc32(f'{self.type} {self.subject} {self.tenant}'.encode())):x}"

    def learn(self, **known: Any) -> Self:
        """Itself, knowing what is computed, or cannot be, of its attributes: ``origin``, ``data_json``, ``repairs``."""
        self.__dict__.update(known)
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Without what was computed of the original: pydantic copies that too."""
        copied = super().model_copy(update=update, deep=deep)
        computed = ["key", "encoded", "published"]
        if update and "data" in update:
            computed += ("origin", "data_json", "is_spelled")
        if update:
            computed.append("fingerprint")
        for name in (*computed, *(f"written_{name}" for name in update or ())):
            copied.__dict__.pop(name, None)
        return copied

    @cached_property
    def encoded(self) -> bytes:
        """`carried` as JSON."""
        wire = self._head()
        if self.data is not None and self.data_base64 is None:
            if self.is_spelled:
                wire[DATA_JSON] = self.data_json.decode()
            else:
                wire["data"] = orjson.Fragment(self.data_json)
        return orjson.dumps(wire)

    @cached_property
    def published(self) -> bytes:
        """The event as a structured-mode JSON object for other services; its data as it was published."""
        wire = self._head()
        if self.data is not None and self.data_base64 is None:
            wire["data"] = orjson.Fragment(whole_characters(self.data_json))
        return orjson.dumps(wire)

    def carried(self) -> dict[str, Any]:
        """What travels within the service as JSON, through any JSON library: `from_attributes` reads it back."""
        wire = self._head()
        if self.data is not None and self.data_base64 is None:
            # `__type__` is kombu's own word in what it writes and reads.
            is_text = self.is_spelled or b'"__type__"' in self.data_json or is_exact(self.data)
            wire |= {DATA_JSON: self.data_json.decode()} if is_text else {"data": self.data}
        return wire

    def attributes(self) -> dict[str, Any]:
        """The event as a structured-mode JSON object (CloudEvents JSON format §3), ``data`` included."""
        wire = self._head()
        if self.data_base64 is None and self.data is not None:
            wire["data"] = self.data
        return wire

    def _head(self) -> dict[str, Any]:
        wire: dict[str, Any] = {"specversion": "1.0", "id": self.id, "source": self.source, "type": self.type}
        for name in ("subject", "datacontenttype", "dataschema", "traceparent", "partitionkey"):
            if (value := getattr(self, name)) is not None:
                wire[name] = value
        if self.time is not None:
            wire["time"] = self.written_time
        if self.expirytime is not None:
            wire["expirytime"] = self.written_expirytime
        if self.tenant != "default":
            wire["tenant"] = self.tenant
        wire.update(self.extensions)
        if self.data_base64 is not None:
            wire["data_base64"] = self.data_base64
        return wire

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Event:
        """Read a structured-mode object whose ``data`` is already JSON, or what `carried` gave.

        Raises `MalformedEvent` naming the first attribute that is missing or wrong.
        """
        if attributes.get("specversion") != "1.0":
            raise MalformedEvent(_other_version(attributes.get("specversion")), "specversion")
        fields = dict(attributes)
        del fields["specversion"]
        if (spelled := fields.pop(DATA_JSON, None)) is not None:
            fields["data"] = _read_spelled(spelled)
        if not fields.keys() <= _FIELDS:
            fields["extensions"] = extensions = {name: fields.pop(name) for name in attributes if name not in _OWN}
            _check_extensions(extensions)
        _check_data(fields)
        try:
            # `model_validate` without its options, which are a seventh of the time.
            event: Event = cls.__pydantic_validator__.validate_python(fields)
        except ValidationError as error:
            raise _wrong_attribute(error) from error
        known = event.__dict__
        if "time" in fields:
            known["written_time"] = fields["time"]
        if "expirytime" in fields:
            known["written_expirytime"] = fields["expirytime"]
        if spelled is not None:
            known |= {"data_json": spelled.encode(), "is_spelled": True}
        return event


def _read_spelled(text: Any) -> Any:
    try:
        return read_json(text.encode())
    except (NotJson, AttributeError, UnicodeError) as error:
        raise MalformedEvent(f"attribute {DATA_JSON!r} is not JSON: {error}", DATA_JSON) from error


def _other_version(version: Any) -> str:
    if version is None:
        return "attribute 'specversion' is missing; every event has specversion (\"1.0\"), id, source and type"
    return f"specversion is {str(version)[:40]!r}, expected '1.0': only CloudEvents 1.0 are read"


#: pydantic's kinds of mistakes → what is wrong and what to do.
_WRONG = {
    "missing": "is missing; every event has specversion, id, source and type",
    "string_type": "must be a text",
    "string_too_short": "is empty; leave it out or give it a text",
    "string_too_long": "has more than 1,024 characters; put long texts into data",
    "string_pattern_mismatch": "has control characters; CloudEvents attributes have none",
}


def _wrong_attribute(error: ValidationError) -> MalformedEvent:
    first = error.errors(include_url=False, include_input=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    what = _WRONG.get(first["type"], first["msg"].removeprefix("Value error, "))
    return MalformedEvent(f"attribute {field!r}: {what}", field)


def _check_extensions(extensions: Mapping[str, Any]) -> None:
    for name, value in extensions.items():
        if not _NAME.fullmatch(name):
            raise MalformedEvent(f"attribute {name[:40]!r}: names are lower-case letters and digits only", name[:40])
        if not isinstance(value, str | int | bool):
            raise MalformedEvent(f"attribute {name!r}: extension values are strings, integers or booleans", name)
        if isinstance(value, int) and value not in _INTEGERS:
            raise MalformedEvent(f"attribute {name!r}: more than 64 bits; publish the number as a text", name)
        if isinstance(value, str) and not _PRINTABLE.fullmatch(value):
            raise MalformedEvent(f"attribute {name!r}: control characters or more than 1,024 characters", name)


def _check_data(data: Mapping[str, Any]) -> None:
    encoded = data.get("data_base64")
    if encoded is None:
        return
    if data.get("data") is not None:
        raise MalformedEvent("both data and data_base64 are given; an event carries one of them", "data_base64")
    try:
        base64.b64decode(encoded, validate=True)
    except (ValueError, TypeError) as error:
        raise MalformedEvent(f"data_base64 is not base64: {error}", "data_base64") from error
