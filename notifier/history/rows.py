"""Records as rows of the history, and rows as records: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import orjson

from notifier.domain.delivery import Attempt, DeliveryRecord, Kept, Status
from notifier.domain.event_status import EventStatus
from notifier.domain.rule import work_kind
from notifier.storage.lookup import EventRecord

#: As `lua/forget.lua` writes it.
FORGOTTEN = "forgotten"
#: Columns in the order of a row; the first two are the primary key.
DELIVERY_COLUMNS = (
    "day", "id", "event", "rule", "channel", "destination", "person", "status", "reason", "tries", "queued", "updated",
    "template", "attempts",
)  # fmt: skip
EVENT_COLUMNS = (
    "day", "key", "id", "source", "type", "tenant", "received", "status", "note", "reason", "parked",
)  # fmt: skip

Row = tuple[Any, ...]


def day_of(moment: float) -> date:
    """The partition of what was queued then. Raises `ValueError` or `OverflowError` for a time that no calendar has."""
    return datetime.fromtimestamp(moment, UTC).date()


def delivery_row(record: DeliveryRecord, person: str) -> Row:
    """``person`` is not kept of what is forgotten. Raises as `day_of`."""
    # A record that was made when its message could not be read has no time.
    queued = datetime.fromtimestamp(record.queued or record.updated, UTC)
    attempts = [_attempt(attempt) for attempt in record.attempts]
    return (
        queued.date(),
        plain(record.id),
        plain(record.event),
        plain(record.rule),
        record.channel.value,
        plain(record.destination),
        "" if record.destination == FORGOTTEN else person,
        record.status.value,
        plain(record.reason),
        record.tries,
        queued,
        datetime.fromtimestamp(record.updated, UTC),
        plain(record.template),
        orjson.dumps(attempts).decode(),
    )


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {name: plain(one) if isinstance(one, str) else one for name, one in attempt.as_dict().items()}


def delivery_record(row: Mapping[str, Any]) -> DeliveryRecord:
    """What `delivery_row` was made of."""
    return DeliveryRecord(
        id=row["id"],
        event=row["event"],
        rule=row["rule"],
        channel=work_kind(row["channel"]),
        destination=row["destination"],
        status=Status(row["status"]),
        reason=row["reason"],
        tries=row["tries"],
        queued=row["queued"].timestamp(),
        updated=row["updated"].timestamp(),
        next_try=None,
        template=row["template"],
        attempts=tuple(Attempt(**attempt) for attempt in row["attempts"]),
        kept_in=Kept.HISTORY,
    )


def event_row(event: EventRecord) -> Row:
    """Its deliveries are found by its key. Raises as `day_of`."""
    received = datetime.fromtimestamp(event.received, UTC)
    texts = (event.key, event.id, event.source, event.type, event.tenant)
    told = (event.note, event.reason, event.parked)
    return (received.date(), *map(plain, texts), received, event.status.value, *map(plain, told))


def event_record(row: Mapping[str, Any], deliveries: Sequence[str], next_page: int | None) -> EventRecord:
    """What `event_row` was made of."""
    return EventRecord(
        key=row["key"],
        id=row["id"],
        source=row["source"],
        type=row["type"],
        tenant=row["tenant"],
        received=row["received"].timestamp(),
        status=EventStatus(row["status"]),
        deliveries=tuple(deliveries),
        next_page=next_page,
        note=row["note"],
        reason=row["reason"],
        parked=row["parked"],
        kept_in=Kept.HISTORY,
    )


def plain(text: str) -> str:
    """A text as PostgreSQL takes it: U+FFFD in the place of U+0000 and of lone surrogates, which JSON can carry."""
    if text.isascii() and "\x00" not in text:
        return text
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\x00", "\ufffd")
