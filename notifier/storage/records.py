"""The ledger's text format of a delivery and an event, and its two directions.

A delivery is one string: ``state RS head RS attempt RS attempt…``, each a list of fields separated by US. Scripts parse
only the state; the head never changes after the first write and attempts are only appended. One short string costs
half the memory of a hash, whose fields above 64 bytes make Redis give up its compact form.

state   status, fence, tries, updated, next try, template, reason, left, owner, nonce, leased until, status before
head    event, rule, channel, destination, queued
attempt number, started, duration, outcome, code, worker, reply

Times are milliseconds since 1970: next try and leased until in decimal, because scripts compare them, all others in
base 36. Durations are microseconds in base 36. An empty field means none. A code ``=`` is ``smtp_`` and the first three
characters of the reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from notifier.domain.contacts import masked_contact
from notifier.domain.delivery import (
    Attempt,
    ChannelRef,
    Contact,
    DeliveryRecord,
    Destination,
    EndpointRef,
    Mailbox,
    Status,
)
from notifier.domain.rule import WorkKind, work_kind
from notifier.storage import keys

RECORD = "\x1e"
UNIT = "\x1f"
#: Attempts kept of one delivery; a schedule has at most a dozen, replays add to them, the oldest go.
ATTEMPTS_KEPT = 30

#: In the place of a head: the script is to say when it needs one, instead of getting it every time.
ASK = "?"

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
#: Two digits at a time: half the time of one, four times per delivery.
_PAIRS = tuple(first + second for first in _DIGITS for second in _DIGITS)
#: Outcomes as stored; any other word is stored whole.
_OUTCOMES = {"sent": "s", "deferred": "d", "refused": "r"}
_WORDS = {letter: word for word, letter in _OUTCOMES.items()}
#: In the place of a code that the reply begins with.
_SAID = "="
_SEPARATORS = str.maketrans({RECORD: " ", UNIT: " "})


def masked(to: Destination) -> str:
    """A destination as people and logs may see it: ``a…@example.org``, an endpoint's or recipient's id."""
    if isinstance(to, EndpointRef):
        return to.endpoint
    if isinstance(to, Contact):
        return masked_contact(to.contact, to.at)
    if isinstance(to, ChannelRef):
        return to.channel
    if isinstance(to, Mailbox):
        local, _, domain = to.address.rpartition("@")
        return f"{local[:1]}…@{domain}"
    return to.recipient


def join(fields: Sequence[str]) -> str:
    """Fields as one text; empty ones at the end are left out, separators inside a field become spaces."""
    text = UNIT.join(fields)
    if text.count(UNIT) >= len(fields) or RECORD in text:
        text = UNIT.join(clean(field) for field in fields)
    return text.rstrip(UNIT)


def clean(text: str) -> str:
    """A text without our separators; nearly none has one, and looking takes a fiftieth of translating."""
    return text.translate(_SEPARATORS) if RECORD in text or UNIT in text else text


def split(text: str, count: int) -> list[str]:
    """The ``count`` fields that `join` wrote."""
    fields = text.split(UNIT)
    return fields + [""] * (count - len(fields))


def milliseconds(seconds: float) -> int:
    """Unix seconds as scripts compare them."""
    return round(seconds * 1000)


@lru_cache(maxsize=256)
def stamp(moment: float) -> str:
    """A time that is only kept, in base 36: five bytes shorter than decimal, four times per delivery."""
    return _base36(milliseconds(moment))


def moment(stamped: str) -> float:
    """Unix seconds of a `stamp`."""
    return int(stamped, 36) / 1000


@lru_cache(maxsize=256)
def _base36(number: int) -> str:
    digits = ""
    while number >= 36:
        number, pair = divmod(number, 1296)
        digits = _PAIRS[pair] + digits
    return _DIGITS[number] + digits if number or not digits else digits


def encode_head(event: str, rule: str, channel: WorkKind, destination: str, queued: float) -> str:
    """What never changes of a delivery."""
    return join([keys.short(event, "evt_"), rule, channel, destination, stamp(queued)])


def encode_attempt(attempt: Attempt) -> str:
    """One attempt; the same attempt always gives the same text, by which a repeated record is recognised."""
    return join(
        [
            str(attempt.number),
            stamp(attempt.started),
            _base36(round(attempt.duration * 1_000_000)),
            outcome_letter(attempt.outcome),
            code_beside(attempt.code, attempt.reply),
            machine(attempt.worker),
            attempt.reply,
        ]
    )


def code_beside(code: str, reply: str) -> str:
    """Empty of what the reply begins with: ``smtp_250`` and ``250 2.0.0 Ok``, as of nearly every mail sent."""
    return _SAID if code == "smtp_" + reply[:3] else code


def machine(worker: str) -> str:
    """A worker without the token that tells its lives apart: people look for a machine."""
    return worker.partition("/")[0]


def outcome_letter(outcome: str) -> str:
    """As it is stored."""
    return _OUTCOMES.get(outcome, outcome)


def decode_attempt(text: str) -> Attempt:
    """The attempt `encode_attempt` wrote."""
    number, started, duration, outcome, code, worker, reply = split(text, 7)
    code = "smtp_" + reply[:3] if code == _SAID else code
    return Attempt(
        int(number), moment(started), int(duration, 36) / 1_000_000, _WORDS.get(outcome, outcome), code, reply, worker
    )


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
        channel=work_kind(channel),
        destination=destination,
        status=Status(status),
        reason=reason,
        tries=int(tries),
        queued=moment(queued),
        updated=moment(updated),
        next_try=int(next_try) / 1000 if next_try and status in ("queued", "deferred", "held") else None,
        template=template,
        attempts=tuple(decode_attempt(a) for a in attempts),
    )
