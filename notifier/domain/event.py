"""`Event`: a fact another service published, as a CloudEvent 1.0 (attributes: CloudEvents §3.1, types: §2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from notifier.domain.ids import event_key
from notifier.errors import MalformedEvent

#: CloudEvents §2.2: strings carry no control characters, surrogates or non-characters. 1,024 keeps ids out of the
#: business of filling Redis and headers; the specification sets no bound.
_Text = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]

_CORE = frozenset({"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"})
_KNOWN_EXTENSIONS = frozenset({"tenant", "expirytime", "traceparent", "partitionkey"})


class Event(BaseModel):
    """One CloudEvent. ``source`` and ``id`` together identify it; ``data`` is JSON, or text or bytes as base64."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    id: _Text
    source: _Text
    type: _Text
    subject: _Text | None = None
    time: AwareDatetime | None = None
    datacontenttype: _Text | None = None
    dataschema: _Text | None = None
    tenant: _Text = "default"
    expirytime: AwareDatetime | None = None
    traceparent: _Text | None = None
    partitionkey: _Text | None = None
    extensions: dict[str, Any] = {}
    data: Any = None

    @cached_property
    def key(self) -> str:
        """The ledger's name of this event (`ids.event_key`)."""
        return event_key(self.source, self.id)

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
        if self.data is not None:
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
        known = {n: v for n, v in attributes.items() if n in _CORE or n in _KNOWN_EXTENSIONS}
        del known["specversion"]
        extensions = {
            n: v for n, v in attributes.items() if n not in _CORE and n not in _KNOWN_EXTENSIONS and n != "data"
        }
        _check_extensions(extensions)
        try:
            return cls.model_validate({**known, "extensions": extensions, "data": attributes.get("data")})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = str(first["loc"][0]) if first["loc"] else ""
            raise MalformedEvent(f"attribute {field!r}: {first['msg']}", field) from error


def _check_extensions(extensions: Mapping[str, Any]) -> None:
    for name, value in extensions.items():
        if not (name.isascii() and name.isalnum() and name.islower() or name.isdigit()):
            raise MalformedEvent(f"attribute {name[:40]!r}: names are lower-case letters and digits only", name[:40])
        if not isinstance(value, str | int | bool):
            raise MalformedEvent(f"attribute {name!r}: extension values are strings, integers or booleans", name)


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
