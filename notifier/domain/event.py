"""`Event`: a fact another service published, as a CloudEvent 1.0 (attributes: CloudEvents §3.1, types: §2.2)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Self

import orjson
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from notifier.domain.ids import event_key
from notifier.errors import MalformedEvent

#: CloudEvents §2.2: strings carry no control characters, surrogates or non-characters. 1,024 keeps ids out of the
#: business of filling Redis and headers; the specification sets no bound.
_Text = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]

_NAME = re.compile("[a-z0-9]+")
#: The same for extensions, which may be empty; surrogates are left out because they cannot be written as UTF-8.
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,1024}")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _timestamp(value: Any) -> Any:
    # pydantic alone would also take unix seconds and bare dates, which CloudEvents §2.2 does not allow.
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
    raise ValueError("expected an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z")


_Time = Annotated[AwareDatetime, BeforeValidator(_timestamp)]

#: Attributes with a field of their own: CloudEvents' own, the extensions this service reads, and the data.
_FIELDS = frozenset({"id", "source", "type", "subject", "time", "datacontenttype", "dataschema"}) | frozenset(
    {"tenant", "expirytime", "traceparent", "partitionkey", "data", "data_base64"}
)


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

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Without what was computed of the original: pydantic copies that too."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("key", "encoded"):
            copied.__dict__.pop(name, None)
        return copied

    @cached_property
    def encoded(self) -> bytes:
        """`attributes` as JSON."""
        attributes = self.attributes()
        try:
            return orjson.dumps(attributes)
        except TypeError:
            # Numbers of more than 64 bits and lone surrogates: JSON has them, orjson does not write them.
            return json.dumps(attributes, separators=(",", ":")).encode("ascii")

    def attributes(self) -> dict[str, Any]:
        """The event as a structured-mode JSON object (CloudEvents JSON format §3), ``data`` included."""
        wire: dict[str, Any] = {"specversion": "1.0", "id": self.id, "source": self.source, "type": self.type}
        for name in ("subject", "datacontenttype", "dataschema", "traceparent", "partitionkey"):
            if (value := getattr(self, name)) is not None:
                wire[name] = value
        if self.time is not None:
            wire["time"] = _rfc3339(self.time)
        if self.expirytime is not None:
            wire["expirytime"] = _rfc3339(self.expirytime)
        if self.tenant != "default":
            wire["tenant"] = self.tenant
        wire.update(self.extensions)
        if self.data_base64 is not None:
            wire["data_base64"] = self.data_base64
        elif self.data is not None:
            wire["data"] = self.data
        return wire

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Event:
        """Read a structured-mode object whose ``data`` is already JSON.

        Raises `MalformedEvent` naming the first attribute that is missing or wrong.
        """
        if attributes.get("specversion") != "1.0":
            raise MalformedEvent(
                f"specversion is {attributes.get('specversion')!r}, expected '1.0': this is not a CloudEvent 1.0",
                "specversion",
            )
        fields = dict(attributes)
        extensions = {name: fields.pop(name) for name in attributes if name not in _FIELDS}
        del extensions["specversion"]
        if extensions:
            _check_extensions(extensions)
            fields["extensions"] = extensions
        _check_data(fields)
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = str(first["loc"][0]) if first["loc"] else ""
            raise MalformedEvent(f"attribute {field!r}: {first['msg']}", field) from error


def _check_extensions(extensions: Mapping[str, Any]) -> None:
    for name, value in extensions.items():
        if not _NAME.fullmatch(name):
            raise MalformedEvent(f"attribute {name[:40]!r}: names are lower-case letters and digits only", name[:40])
        if not isinstance(value, str | int | bool):
            raise MalformedEvent(f"attribute {name!r}: extension values are strings, integers or booleans", name)
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


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
