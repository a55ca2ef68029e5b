"""Records become rows and come back, whatever stands in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.delivery import Attempt, DeliveryRecord, Kept, Status
from notifier.domain.event_status import EventStatus
from notifier.domain.rule import WORK_KINDS
from notifier.history import rows
from notifier.storage.lookup import EventRecord

TEXT = st.text(st.characters(), max_size=20)
#: Milliseconds, as the ledger keeps them.
MOMENT = st.integers(1, 4_000_000_000_000).map(lambda number: number / 1000)
ATTEMPT = st.builds(
    Attempt, st.integers(1, 99), MOMENT, st.floats(0, 300), st.sampled_from(["sent", "refused"]), TEXT, TEXT, TEXT
)
RECORD = st.builds(
    DeliveryRecord,
    id=TEXT,
    event=TEXT,
    rule=TEXT,
    channel=st.sampled_from(WORK_KINDS),
    destination=TEXT,
    status=st.sampled_from(Status),
    reason=TEXT,
    tries=st.integers(0, 99),
    queued=MOMENT,
    updated=MOMENT,
    next_try=st.none(),
    template=TEXT,
    attempts=st.lists(ATTEMPT, max_size=3).map(tuple),
    kept_in=st.just(Kept.HISTORY),
)
EVENT = st.builds(
    EventRecord,
    key=TEXT,
    id=TEXT,
    source=TEXT,
    type=TEXT,
    tenant=TEXT,
    received=MOMENT,
    status=st.sampled_from(EventStatus),
    deliveries=st.just(()),
    next_page=st.none(),
    note=TEXT,
    reason=TEXT,
    parked=TEXT,
    kept_in=st.just(Kept.HISTORY),
)


def as_read(columns: tuple[str, ...], row: rows.Row) -> dict[str, Any]:
    """As psycopg gives it."""
    named = dict(zip(columns, row, strict=True))
    return named | ({"attempts": json.loads(named["attempts"])} if "attempts" in named else {})


@given(RECORD)
def test_a_delivery_comes_back_as_it_was_but_for_what_postgresql_cannot_hold(record: DeliveryRecord) -> None:
    row = rows.delivery_row(record, "abc")

    found = rows.delivery_record(as_read(rows.DELIVERY_COLUMNS, row))

    for name in ("id", "event", "rule", "destination", "reason", "template"):
        assert getattr(found, name) == rows.plain(getattr(record, name))
    for name in ("channel", "status", "tries", "next_try", "kept_in"):
        assert getattr(found, name) == getattr(record, name)
    assert (found.queued, found.updated) == pytest.approx((record.queued, record.updated), abs=1e-6)
    assert [a.number for a in found.attempts] == [a.number for a in record.attempts]
    assert [a.reply for a in found.attempts] == [rows.plain(a.reply) for a in record.attempts]


@given(EVENT)
def test_an_event_comes_back_likewise(event: EventRecord) -> None:
    found = rows.event_record(as_read(rows.EVENT_COLUMNS, rows.event_row(event)), (), None)

    assert found.id == rows.plain(event.id)
    assert (found.status, found.received) == (event.status, pytest.approx(event.received, abs=1e-6))


@given(TEXT)
def test_a_plain_text_is_utf8_without_zero_bytes(text: str) -> None:
    plain = rows.plain(text)

    assert "\x00" not in plain
    plain.encode()
    assert rows.plain(plain) == plain
    if "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text):
        assert plain == text


def test_what_is_forgotten_is_nobodys() -> None:
    record = DeliveryRecord(
        "dlv_a", "evt_a", "r", WORK_KINDS[0], rows.FORGOTTEN, Status.SENT, "", 1, 1e9, 1e9, None, "", ()
    )

    assert dict(zip(rows.DELIVERY_COLUMNS, rows.delivery_row(record, "abc"), strict=True))["person"] == ""


def test_a_record_without_a_time_lies_in_the_day_of_its_end() -> None:
    record = DeliveryRecord(
        "dlv_a", "evt_a", "r", WORK_KINDS[0], "", Status.SKIPPED, "", 0, 0.0, 1_800_000_000.0, None, "", ()
    )

    assert str(rows.delivery_row(record, "")[0]) == "2027-01-15"
