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

_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "type", "source", "id"],
    "properties": {
        "specversion": {"const": "1.0"},
        "type": {"type": "string", "description": "Which rules apply."},
        "source": {"type": "string", "description": "With `id` it identifies the event."},
        "id": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "subject": {"type": "string"},
        "tenant": {"type": "string", "default": "default", "description": "Whose webhook endpoints hear of it."},
        "expirytime": {"type": "string", "format": "date-time", "description": "After it nothing is sent."},
        "data": {"description": "Any JSON; checked against the schema.json of its type when there is one."},
    },
    "additionalProperties": {"type": ["string", "integer", "boolean"]},
}

EVENT_BODY: dict[str, Any] = {
    "required": True,
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
