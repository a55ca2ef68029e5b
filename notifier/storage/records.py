"""The ledger's text format of a delivery and an event, and its two directions.

A delivery is one string: ``state RS head RS attempt RS attempt…``, each a list of fields separated by US. Scripts parse
only the state; the head never changes after the first write and attempts are only appended. One short string costs
half the memory of a hash, whose fields above 64 bytes make Redis give up its compact form.

state   status, fence, tries, updated, next try, template, reason, left, owner, nonce, leased until, status before
head    event, rule, channel, destination, queued
attempt number, started, duration, outcome, code, worker, reply

Times are milliseconds since 1970, durations microseconds; an empty field means none.
"""

from __future__ import annotations

from collections.abc import Sequence

from notifier.domain.delivery import (
    Attempt,
    DeliveryRecord,
    Destination,
    EndpointRef,
    Mailbox,
    Status,
)
from notifier.domain.rule import Channel
from notifier.storage import keys

RECORD = "\x1e"
UNIT = "\x1f"
#: Attempts kept of one delivery; a schedule has at most a dozen, replays add to them, the oldest go.
ATTEMPTS_KEPT = 30

_SEPARATORS = str.maketrans({RECORD: " ", UNIT: " "})


def masked(to: Destination) -> str:
    """A destination as people and logs may see it: ``a…@example.org``, an endpoint's or recipient's id."""
    if isinstance(to, EndpointRef):
        return to.endpoint
    if isinstance(to, Mailbox):
        local, _, domain = to.address.rpartition("@")
        return f"{local[:1]}…@{domain}"
    return to.recipient


def join(fields: Sequence[str | int]) -> str:
    """Fields as one text; empty ones at the end are left out."""
    return UNIT.join(str(f).translate(_SEPARATORS) for f in fields).rstrip(UNIT)


def split(text: str, count: int) -> list[str]:
    """The ``count`` fields that `join` wrote."""
    fields = text.split(UNIT)
    return fields + [""] * (count - len(fields))


def milliseconds(seconds: float) -> int:
    """Unix seconds as stored."""
    return round(seconds * 1000)


def seconds(stored: str) -> float:
    """Unix seconds of a stored time; 0 for none."""
    return int(stored) / 1000 if stored else 0.0


def encode_head(event: str, rule: str, channel: Channel, destination: str, queued: float) -> str:
    """What never changes of a delivery."""
    return join([keys.short(event, "evt_"), rule, channel, destination, milliseconds(queued)])


def encode_attempt(attempt: Attempt) -> str:
    """One attempt; the same attempt always gives the same text, by which a repeated record is recognised."""
    return join(
        [
            attempt.number,
            milliseconds(attempt.started),
            round(attempt.duration * 1_000_000),
            attempt.outcome,
            attempt.code,
            attempt.worker,
            attempt.reply,
        ]
    )


def decode_attempt(text: str) -> Attempt:
    """The attempt `encode_attempt` wrote."""
    number, started, duration, outcome, code, worker, reply = split(text, 7)
    return Attempt(int(number), seconds(started), int(duration) / 1_000_000, outcome, code, reply, worker)


def decode_delivery(delivery_id: str, text: str) -> DeliveryRecord | None:
    """None for a record without a head: it was sent after Redis had lost it, and nothing else is known."""
    state, head, *attempts = text.split(RECORD)
    if not head:
        return None
    status, _, tries, updated, next_try, template, reason = split(state, 7)[:7]
    event, rule, channel, destination, queued = split(head, 5)
    return DeliveryRecord(
        id=delivery_id,
        event=keys.full(event, "evt_"),
        rule=rule,
        channel=Channel(channel),
        destination=destination,
        status=Status(status),
        reason=reason,
        tries=int(tries),
        queued=seconds(queued),
        updated=seconds(updated),
        next_try=seconds(next_try) if next_try else None,
        template=template,
        attempts=tuple(decode_attempt(a) for a in attempts),
    )
