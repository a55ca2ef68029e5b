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
from notifier.storage.feed import Bounds, Ended, feed_calls
from notifier.storage.grouped import Work, run
from notifier.storage.packed import hint_for_event
from notifier.storage.packs import LONGEST_S, Packs, Shelf, field_of, is_packable, known, writing
from notifier.storage.records import RECORD, clean, encode_head, join, masked, milliseconds, moment, split, stamp
from notifier.storage.unpacking import unpack

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
#: Bytes of ids with which an event may be packed: of more, its record is long enough to be one of its own.
PACKED_IDS = 4 * 27


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
    packs: Packs, registrations: Sequence[Registration], *, now: float, keep_event: float, keep_delivery: float
) -> Operation[list[Registered]]:
    """Write queued records where none are, in one round trip; nothing newer is overwritten."""
    yield from writing(packs)
    deliveries = [(entry.event, delivery, rule) for entry in registrations for delivery, rule in entry.deliveries]
    events = Work(
        registrations,
        lambda shelf, group: _register_events(shelf, group, now, keep_event),
        lambda entry: packs.event(entry.event.key),
    )
    queued = Work(
        deliveries,
        lambda shelf, group: _register_deliveries(shelf, group, now, keep_delivery),
        lambda one: packs.delivery(one[1].id),
    )
    (version,) = yield from run(packs, events, queued, beside=[_VERSION])
    before = iter(queued.answers)
    found: list[Registered] = []
    phantoms: list[str] = []
    for entry, reply in zip(registrations, events.answers, strict=True):
        known_before, other = _known(reply)
        statuses = {delivery.id: next(before) for delivery, _ in entry.deliveries}
        done = frozenset(i for i, status in statuses.items() if status not in ("", "queued"))
        found.append(Registered(known_before, done, version or "", other))
        if known_before:
            phantoms += [i for i, status in statuses.items() if status == ""]
    if phantoms:
        # A rule added since: its deliveries are not published with the duplicate, so they must not show as queued.
        yield from unregister(packs, phantoms)
    return found


def unregister(packs: Packs, ids: Sequence[str]) -> Operation[None]:
    """Take away what was registered and is not to be published after all; what anybody has claimed stays."""
    yield [run_script("unregister", [packs.delivery(i)]) for i in ids]


def planned(
    packs: Packs, events: Sequence[str], unmatched: Sequence[str] = (), bounds: Bounds | None = None
) -> Operation[None]:
    """Say that every task of these events (keys) was confirmed: from now on they are duplicates.

    In the same round trip the types of those are counted that no rule wanted.
    """
    yield from known(packs)
    yield from run(packs, Work(events, _planned, packs.event), beside=_count(unmatched), ahead=_feed(events, bounds))


def _feed(events: Sequence[str], bounds: Bounds | None) -> list[Call]:
    """For the history: these events (keys) are as far as they come by themselves."""
    return feed_calls([Ended(event) for event in events], bounds) if bounds else []


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


def unplanned(
    packs: Packs, entries: Sequence[Unplanned], *, now: float, keep: float, bounds: Bounds | None = None
) -> Operation[list[Other | None]]:
    """Write down events that have no deliveries; says what is known under their ids, where that is another event.

    What was planned stays so, whatever comes after it under its id.
    """
    yield from known(packs)

    def call(shelf: Shelf, group: Sequence[Unplanned]) -> Call:
        (one,) = group
        opening, arguments = shelf.opening()
        letters = keys.event_letters(one.identity.key)
        places = [*opening, shelf.event(letters), *shelf.buckets(letters)]
        field = field_of(letters, is_event=True)
        return run_script("unplanned", places, *arguments, field, _unplanned_head(one, now), milliseconds(keep))

    work = Work(entries, call, lambda one: packs.event(one.identity.key), together=1)
    yield from run(packs, work, ahead=_feed([one.identity.key for one in entries], bounds))
    return [_known(reply)[1] for reply in work.answers]


def _unplanned_head(one: Unplanned, now: float) -> str:
    who = one.identity
    tenant = "" if who.tenant == "default" else who.tenant
    reason = clean(one.reason.replace("\n", "; "))[:REASON_CHARACTERS]
    head = [STATES[one.status] + one.fingerprint, stamp(now), who.id, who.source, who.type, tenant, one.note]
    return join([*head, reason, one.parked])


def note(packs: Packs, event: str, text: str, bounds: Bounds | None = None) -> Operation[None]:
    """Add to the note of an event (its key), once."""
    call = run_script("note_event", [packs.event(event)], clean(text), NOTES_BYTES)
    *_, noted = yield [*_feed([event], bounds), call]
    if not noted and any((yield from unpack(packs, [packs.event(event)]))):
        yield [call]


def _known(reply: int | str) -> tuple[bool, Other | None]:
    if isinstance(reply, int):
        return reply == 1, None
    head, _, _ = reply.partition(RECORD)
    state, received, _, _, kind = split(head, 5)[:5]
    return state.startswith(STATES[EventStatus.PLANNED]), Other(kind, moment(received))


def _register_events(shelf: Shelf, entries: Sequence[Registration], now: float, keep: float) -> Call:
    places, arguments = shelf.opening()
    arguments += [INLINE_IDS * 27, milliseconds(keep)]
    present = stamp(now)
    is_packing = shelf.is_packing and keep <= LONGEST_S
    for entry in entries:
        event, letters = entry.event, keys.event_letters(entry.event.key)
        tenant = "" if event.tenant == "default" else event.tenant
        ids = ",".join(keys.short(delivery.id, "dlv_") for delivery, _ in entry.deliveries)
        places += [shelf.event(letters), shelf.event_chunks(event.key), *shelf.buckets(letters)]
        head = join(["0" + event.fingerprint, present, event.id, event.source, event.type, tenant, event.note])
        hint = ""
        if is_packing and not event.note and len(ids) <= PACKED_IDS and is_packable(letters):
            hint = hint_for_event(shelf.words, event.source, event.type, tenant)
        arguments += [head, ids, field_of(letters, is_event=True), shelf.generation + hint if hint else ""]
    return run_script("register_event", places, *arguments)


_Planned = tuple[Event, Delivery, Rule]


def _register_deliveries(shelf: Shelf, group: Sequence[_Planned], now: float, keep: float) -> Call:
    places, arguments = shelf.opening()
    arguments += [stamp(now), milliseconds(keep)]
    for event, delivery, rule in group:
        letters = keys.delivery_letters(delivery.id)
        places += [shelf.delivery(letters), *shelf.buckets(letters)]
        head = encode_head(event.key, rule.id, rule.kind, masked(delivery.to), delivery.queued or now)
        arguments += [head, field_of(letters, is_event=False)]
    return run_script("register", places, *arguments)


def _planned(shelf: Shelf, events: Sequence[str]) -> Call:
    places, arguments = shelf.opening()
    for event in events:
        letters = keys.event_letters(event)
        places += [shelf.event(letters), *shelf.buckets(letters)]
        arguments.append(field_of(letters, is_event=True))
    return run_script("planned", places, *arguments)
