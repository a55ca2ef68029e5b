"""Reading the ledger: an event, deliveries, and what was sent to one person, as operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from notifier.domain.delivery import DeliveryRecord, Kept
from notifier.domain.event_status import EventStatus
from notifier.storage import keys
from notifier.storage.commands import Operation, command
from notifier.storage.packs import Packs
from notifier.storage.people import deliveries_to
from notifier.storage.records import RECORD, decode_delivery, moment, split
from notifier.storage.registration import STATES
from notifier.storage.unpacking import read

_STATUSES = {letter: status for status, letter in STATES.items()}


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What the ledger knows of one event, with one page of its deliveries' ids."""

    key: str
    id: str
    source: str
    type: str
    tenant: str
    received: float
    status: EventStatus
    deliveries: tuple[str, ...]
    next_page: int | None
    """The page that follows; None on the last."""
    note: str = ""
    """What its publisher should know: what was mended when it was read, and what else came under its id."""
    reason: str = ""
    """Why it is parked or waits."""
    parked: str = ""
    """Its id in ``failed-intake``, as long as it lies there."""
    kept_in: Kept = Kept.LEDGER

    @property
    def planned(self) -> bool:
        """Every task of it was published and confirmed."""
        return self.status is EventStatus.PLANNED


def event(packs: Packs, key: str, page: int = 0) -> Operation[EventRecord | None]:
    """Page 0 holds the first deliveries; each further page is one chunk of a large fan-out."""
    replies = yield [
        command("GET", packs.event(key)),
        command("LINDEX", packs.event_chunks(key), page - 1 if page else "-1"),
        command("LLEN", packs.event_chunks(key)),
    ]
    text, chunk, chunks = replies
    if text is None:
        (text,) = yield from read(packs, [packs.event(key)])
    if text is None:
        return None
    return _event(key, text, listed=(chunk or "") if page else None, next_page=page + 1 if page < chunks else None)


def events(packs: Packs, event_keys: Sequence[str]) -> Operation[list[EventRecord | None]]:
    """One record per key, with the deliveries that stand in it; None where nothing is known."""
    texts = yield from _texts(packs, [packs.event(key) for key in event_keys])
    return [text and _event(key, text) for key, text in zip(event_keys, texts, strict=True)]


def _event(key: str, text: str, listed: str | None = None, next_page: int | None = None) -> EventRecord:
    """``listed`` are its deliveries; None for those in the text itself."""
    head, _, inline = text.partition(RECORD)
    state, received, event_id, source, kind, tenant, note, reason, parked = split(head, 9)
    status = _STATUSES.get(state[:1], EventStatus.PLANNING)
    is_over = status in (EventStatus.PLANNED, EventStatus.PLANNING)
    ids = inline if listed is None else listed
    return EventRecord(
        key=key,
        id=event_id,
        source=source,
        type=kind,
        tenant=tenant or "default",
        received=moment(received),
        status=status,
        deliveries=tuple(keys.full(i, "dlv_") for i in dict.fromkeys(ids.split(",")) if i),
        next_page=next_page,
        note=note,
        reason="" if is_over else reason,
        parked="" if is_over else parked,
    )


def deliveries(packs: Packs, ids: Sequence[str]) -> Operation[list[DeliveryRecord | None]]:
    """One record per id; None where nothing is known."""
    texts = yield from _texts(packs, [packs.delivery(i) for i in ids])
    return [text and decode_delivery(i, text) for i, text in zip(ids, texts, strict=True)]


def _texts(packs: Packs, names: Sequence[str]) -> Operation[list[Any]]:
    texts: list[Any] = yield [command("GET", name) for name in names]
    # Buckets after records: what is sent goes from there to here.
    absent = [place for place, text in enumerate(texts) if text is None]
    packed = yield from read(packs, [names[place] for place in absent])
    for place, text in zip(absent, packed, strict=True):
        texts[place] = text
    return texts


def of_recipient(recipient_key: str, limit: int, now: float, keep: float) -> Operation[list[str]]:
    """Delivery ids to one person, the last claimed first."""
    found = yield from deliveries_to([recipient_key], now, keep)
    return found[::-1][:limit]
