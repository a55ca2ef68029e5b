"""What the OpenAPI description shows of CloudEvents: bodies and headers that FastAPI cannot see in a signature."""

from __future__ import annotations

from typing import Any

from notifier.domain.cloudevents import BATCH, STRUCTURED

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "type": "account.welcome",
    "source": "/shop/accounts",
    "id": "1234",
    "time": "2026-01-31T12:00:00Z",
    "tenant": "acme",
    "data": {"user": {"email": "kim@example.org", "name": "Kim"}, "url": "https://shop.example.org/"},
}

#: No control characters, and no more than Redis and headers should carry (`domain.event`).
_LINE = {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
#: Null is the same as nothing (CloudEvents JSON format §2.2).
_MAYBE: dict[str, Any] = {**_LINE, "type": ["string", "null"]}
_MOMENT: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}

_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "type", "source", "id"],
    "properties": {
        "specversion": {"const": "1.0"},
        "type": {**_LINE, "description": "Which rules apply."},
        "source": {**_LINE, "description": "With `id` it identifies the event."},
        "id": _LINE,
        "time": _MOMENT,
        "subject": _MAYBE,
        "datacontenttype": _MAYBE,
        "dataschema": _MAYBE,
        "tenant": {**_MAYBE, "default": "default", "description": "Whose webhook endpoints hear of it."},
        "expirytime": {**_MOMENT, "description": "After it nothing is sent."},
        "data": {"description": "Any JSON; checked against the schema.json of its type when there is one."},
        "data_base64": {
            "type": ["string", "null"],
            "contentEncoding": "base64",
            "description": "Instead of `data`: what is no JSON.",
        },
    },
    # Extensions. Capitals are read as lower-case letters, and the answer says so.
    "propertyNames": {"pattern": "^(?:[A-Za-z0-9]+|data_base64)$"},
    "additionalProperties": {
        "type": ["string", "integer", "boolean", "null"],
        "maxLength": 1024,
        "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$",
    },
    "maxProperties": 100,
}

EVENT_BODY: dict[str, Any] = {
    # In binary mode an event without data has none.
    "required": False,
    "content": {
        STRUCTURED: {"schema": _EVENT_SCHEMA, "example": EVENT},
        BATCH: {"schema": {"type": "array", "items": _EVENT_SCHEMA}, "example": [EVENT]},
        "application/json": {
            "schema": {"description": "Binary mode: the data alone; the attributes are ce-* headers."},
            "example": EVENT["data"],
        },
    },
}


def _header(name: str, text: str, example: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": "header", "required": False, "description": text, "schema": schema, "example": example}


EVENT_HEADERS: list[dict[str, Any]] = [
    _header("ce-specversion", "Binary mode: always 1.0.", "1.0"),
    _header("ce-type", "Binary mode: the event type.", EVENT["type"]),
    _header("ce-source", "Binary mode: the source, percent-encoded beyond printable ASCII.", EVENT["source"]),
    _header("ce-id", "Binary mode: the id. Other attributes are ce-… headers too.", EVENT["id"]),
]
