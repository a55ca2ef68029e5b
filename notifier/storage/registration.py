"""Writing down an event and its planned deliveries before they are published, as operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from notifier.domain.delivery import Delivery
from notifier.domain.event import Event
from notifier.domain.rule import Rule
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import encode_head, join, masked, milliseconds, stamp

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
        known = next(replies) == 1
        before = {delivery.id: next(replies) for delivery, _ in entry.deliveries}
        done = frozenset(i for i, status in before.items() if status not in ("", "queued"))
        found.append(Registered(known, done, version))
        if known:
            phantoms += [i for i, status in before.items() if status == ""]
    if phantoms:
        # A rule added since: its deliveries are not published with the duplicate, so they must not show as queued.
        yield from unregister(phantoms)
    return found


def unregister(ids: Sequence[str]) -> Operation[None]:
    """Take away what was registered and is not to be published after all; what anybody has claimed stays."""
    yield [run_script("unregister", [keys.delivery(i)]) for i in ids]


def planned(events: Sequence[str]) -> Operation[None]:
    """Say that every task of these events (keys) was confirmed: from now on they are duplicates."""
    yield [run_script("planned", [keys.event(e)]) for e in events]


def _register_event(entry: Registration, now: float, keep: float) -> Call:
    event = entry.event
    ids = ",".join(keys.short(delivery.id, "dlv_") for delivery, _ in entry.deliveries)
    tenant = "" if event.tenant == "default" else event.tenant
    return run_script(
        "register_event",
        [keys.event(event.key), keys.event_chunks(event.key)],
        join(["0", stamp(now), event.id, event.source, event.type, tenant, event.note]),
        ids,
        INLINE_IDS * 27,
        milliseconds(keep),
    )


def _register_delivery(event: Event, delivery: Delivery, rule: Rule, now: float, keep: float) -> Call:
    head = encode_head(event.key, rule.id, rule.channel, masked(delivery.to), delivery.queued or now)
    return run_script("register", [keys.delivery(delivery.id)], stamp(now), head, milliseconds(keep))
