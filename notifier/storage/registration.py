"""Writing down an event and its planned deliveries before they are published, as operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from notifier.domain.delivery import Delivery
from notifier.domain.event import Event
from notifier.domain.event_status import EventStatus, Other, Unplanned
from notifier.domain.rule import Rule
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import RECORD, clean, encode_head, join, masked, milliseconds, moment, split, stamp

#: How the record of an event begins. Scripts compare the first one only: it is the one that must not be planned again.
STATES = {
    EventStatus.PLANNED: "1",
    EventStatus.PLANNING: "0",
    EventStatus.PARKED: "2",
    EventStatus.WAITING: "3",
}
#: Types of unmatched events that are counted, the rarest go; and seconds after the last one until all are forgotten.
TYPES_COUNTED = 1000
COUNTED_S = 30 * 86400.0
#: Characters of a reason; the failure queue has all of it.
REASON_CHARACTERS = 300
#: Bytes of an event's note above which no further one is added.
NOTES_BYTES = 600
#: Ids kept inside the event's own record; more go to its list, one element per registered chunk.
INLINE_IDS = 100


#: Read in the round trip that is made anyway: whoever planned with another version planned with endpoints that have
#: changed since, perhaps before the event was published.
_VERSION = command("GET", keys.endpoints_version())


@dataclass(frozen=True, slots=True)
class Registration:
    """An event and deliveries planned from it; a large fan-out registers chunk after chunk."""

    event: Event
    deliveries: tuple[tuple[Delivery, Rule], ...]


@dataclass(frozen=True, slots=True)
class Registered:
    """What the ledger knew before."""

    known: bool
    """Every task of this event was published and confirmed before: it is a duplicate."""
    done: frozenset[str]
    """Ids of deliveries that are beyond queued: their tasks were published, skip them."""
    directory: str = ""
    """Version of the endpoints while this was written (`keys.endpoints_version`)."""
    other: Other | None = None
    """What is known under its id, when that has other content."""


def register(
    registrations: Sequence[Registration], *, now: float, keep_event: float, keep_delivery: float
) -> Operation[list[Registered]]:
    """Write queued records where none are, in one round trip; nothing newer is overwritten."""
    calls: list[Call] = [_VERSION]
    for entry in registrations:
        calls.append(_register_event(entry, now, keep_event))
        calls += [_register_delivery(entry.event, d, r, now, keep_delivery) for d, r in entry.deliveries]
    replies = iter((yield calls))
    version = next(replies) or ""
    found: list[Registered] = []
    phantoms: list[str] = []
    for entry in registrations:
        known, other = _known(next(replies))
        before = {delivery.id: next(replies) for delivery, _ in entry.deliveries}
        done = frozenset(i for i, status in before.items() if status not in ("", "queued"))
        found.append(Registered(known, done, version, other))
        if known:
            phantoms += [i for i, status in before.items() if status == ""]
    if phantoms:
        # A rule added since: its deliveries are not published with the duplicate, so they must not show as queued.
        yield from unregister(phantoms)
    return found


def unregister(ids: Sequence[str]) -> Operation[None]:
    """Take away what was registered and is not to be published after all; what anybody has claimed stays."""
    yield [run_script("unregister", [keys.delivery(i)]) for i in ids]


def planned(events: Sequence[str], unmatched: Sequence[str] = ()) -> Operation[None]:
    """Say that every task of these events (keys) was confirmed: from now on they are duplicates.

    In the same round trip the types of those are counted that no rule wanted.
    """
    yield [*(run_script("planned", [keys.event(e)]) for e in events), *_count(unmatched)]


def unmatched() -> Operation[list[tuple[str, int]]]:
    """The types that `planned` counted, the most frequent first."""
    (flat,) = yield [command("ZREVRANGE", keys.unmatched(), 0, -1, "WITHSCORES")]
    return [(kind, int(float(count))) for kind, count in zip(flat[::2], flat[1::2], strict=True)]


def _count(types: Sequence[str]) -> list[Call]:
    if not types:
        return []
    key = keys.unmatched()
    return [
        *(command("ZINCRBY", key, count, kind) for kind, count in Counter(types).items()),
        command("ZREMRANGEBYRANK", key, 0, -TYPES_COUNTED - 1),
        command("PEXPIRE", key, milliseconds(COUNTED_S)),
    ]


def unplanned(entries: Sequence[Unplanned], *, now: float, keep: float) -> Operation[list[Other | None]]:
    """Write down events that have no deliveries; says what is known under their ids, where that is another event.

    What was planned stays so, whatever comes after it under its id.
    """
    calls = []
    for one in entries:
        who = one.identity
        tenant = "" if who.tenant == "default" else who.tenant
        reason = clean(one.reason.replace("\n", "; "))[:REASON_CHARACTERS]
        head = [STATES[one.status] + one.fingerprint, stamp(now), who.id, who.source, who.type, tenant, one.note]
        calls.append(
            run_script("unplanned", [keys.event(who.key)], join([*head, reason, one.parked]), milliseconds(keep))
        )
    replies = yield calls
    return [_known(reply)[1] for reply in replies]


def note(event: str, text: str) -> Operation[None]:
    """Add to the note of an event (its key), once."""
    yield [run_script("note_event", [keys.event(event)], clean(text), NOTES_BYTES)]


def _known(reply: int | str) -> tuple[bool, Other | None]:
    if isinstance(reply, int):
        return reply == 1, None
    head, _, _ = reply.partition(RECORD)
    state, received, _, _, kind = split(head, 5)[:5]
    return state.startswith(STATES[EventStatus.PLANNED]), Other(kind, moment(received))


def _register_event(entry: Registration, now: float, keep: float) -> Call:
    event = entry.event
    ids = ",".join(keys.short(delivery.id, "dlv_") for delivery, _ in entry.deliveries)
    tenant = "" if event.tenant == "default" else event.tenant
    return run_script(
        "register_event",
        [keys.event(event.key), keys.event_chunks(event.key)],
        join(["0" + event.fingerprint, stamp(now), event.id, event.source, event.type, tenant, event.note]),
        ids,
        INLINE_IDS * 27,
        milliseconds(keep),
    )


def _register_delivery(event: Event, delivery: Delivery, rule: Rule, now: float, keep: float) -> Call:
    head = encode_head(event.key, rule.id, rule.kind, masked(delivery.to), delivery.queued or now)
    return run_script("register", [keys.delivery(delivery.id)], stamp(now), head, milliseconds(keep))
