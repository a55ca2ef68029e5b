"""What templates and expressions can see: plain JSON values under a few names, made once per event or delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from notifier.domain.event import Event

#: Names every template may use; `docs/how-to/write-a-template.md` describes them.
NAMES = ("event", "data", "recipient", "delivery_id", "unsubscribe_url", "digest", "locale")


def event_attributes(event: Event) -> dict[str, Any]:
    """The event's attributes, absent ones as null, its extensions beside them, and its ``data``."""
    return {
        **event.extensions,
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.written_time,
        "tenant": event.tenant,
        "datacontenttype": event.datacontenttype,
        "dataschema": event.dataschema,
        "expirytime": event.written_expirytime,
        "traceparent": event.traceparent,
        "partitionkey": event.partitionkey,
        "data": event.data,
        "data_base64": event.data_base64,
    }


def event_context(
    event: Event,
    *,
    recipient: Mapping[str, Any] | None,
    delivery_id: str,
    unsubscribe_url: str = "",
    digest: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All names a template may use. ``recipient`` has ``email``, ``name``, ``locale``, ``timezone``, ``id``."""
    return {
        "event": event_attributes(event),
        "data": event.data,
        "recipient": dict(recipient) if recipient is not None else {},
        "delivery_id": delivery_id,
        "unsubscribe_url": unsubscribe_url,
        "digest": dict(digest) if digest is not None else None,
    }


def digest_context(
    events: Sequence[Event], *, total: int, key: str = "", opened: float = 0, closed: float = 0
) -> dict[str, Any]:
    """The ``digest`` of `event_context`: its items oldest first, and how many more there were than are carried."""
    return {
        "items": [event_attributes(event) for event in events],
        "total": total,
        "more": max(total - len(events), 0),
        "key": key,
        "opened": opened,
        "closed": closed,
    }
