"""``notifier show``: what became of an event or a delivery."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from notifier.cli.exits import complain
from notifier.cli.opening import opened_lookup, opened_stores
from notifier.cli.printing import moment, print_fields, print_json, print_table
from notifier.errors import NotFound

if TYPE_CHECKING:
    from notifier.domain.delivery import DeliveryRecord
    from notifier.domain.parked import Parked
    from notifier.history.lookup import Lookup
    from notifier.storage.ledger import EventRecord
    from notifier.storage.stores import Stores


def show(
    identity: Annotated[str, typer.Argument(metavar="ID", help="dlv_…, evt_…, or a CloudEvent's id with --source.")],
    source: Annotated[str, typer.Option(help="The CloudEvent's source, when ID is its id.")] = "",
    page: Annotated[int, typer.Option(min=0, help="Page of an event with very many deliveries.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show an event with its deliveries, or a delivery with every attempt; from the history what Redis has no more.

    Example: notifier show 1234 --source /shop/orders
    """
    from notifier.domain.ids import event_key

    with opened_stores() as stores, opened_lookup(stores.ledger) as lookup:
        if identity.startswith("dlv_") and not source:
            _show_delivery(stores, lookup, identity, as_json)
        else:
            _show_event(lookup, event_key(source, identity) if source else identity, page, as_json)


def _show_delivery(stores: Stores, lookup: Lookup, identity: str, as_json: bool) -> None:
    record = lookup.delivery(identity)
    if record is None:
        raise NotFound(f"no delivery {identity} is known; records expire some time after a delivery has ended")
    if as_json:
        print_json(_as_dict(record))
    else:
        _print_delivery(record)
        _print_copy(record, stores.parked.get(identity))


def _print_copy(record: DeliveryRecord, parked: Parked | None) -> None:
    """Whether it can be replayed, where one might think so."""
    if parked is not None:
        typer.echo(f"\nIt lies in {parked.queue}: notifier failures show {record.id}")
    elif record.status in ("refused", "exhausted", "skipped"):
        typer.echo("\nNo failure queue has it: no copy is kept, so it cannot be replayed.")


def _show_event(lookup: Lookup, key: str, page: int, as_json: bool) -> None:
    found = lookup.event(key, page)
    if found is None:
        hint = "" if key.startswith("evt_") else "; for a CloudEvent's id, name its --source as well"
        raise NotFound(
            f"no event {key} is known{hint}: it was not taken in, its message does not say which event it is "
            "(`notifier failures list --channel intake`), or its record has expired"
        )
    shown = lookup.deliveries_of(found)
    if as_json:
        print_json(
            {
                **dataclasses.asdict(found),
                "planned": found.planned,
                "deliveries": [_as_dict(record) for record in shown.records],
                "missing": shown.missing,
            }
        )
    else:
        _print_event(found, shown.records)
    if shown.missing:
        complain(shown.missing)


def _as_dict(record: DeliveryRecord) -> dict[str, Any]:
    return dataclasses.asdict(record)


def _print_event(event: EventRecord, records: Sequence[DeliveryRecord]) -> None:
    print_fields(
        [
            ("Event", event.key),
            ("Id", event.id),
            ("Source", event.source),
            ("Type", event.type),
            ("Tenant", event.tenant),
            ("Received", moment(event.received)),
            ("Note", event.note),
            ("Status", event.status.value),
            ("Reason", event.reason),
            ("Parked as", event.parked),
            ("Kept in", event.kept_in.value),
        ]
    )
    if event.parked:
        typer.echo(f"\nIt lies in failed-intake: notifier failures show {event.parked} --payload")
    if not records:
        if event.planned:
            typer.echo("\nNo deliveries: no rule wanted it. `notifier explain` tells why.")
        return
    typer.echo()
    rows = ((r.id, r.rule, r.destination, r.status.value, r.tries, r.reason) for r in records)
    print_table("", ("Delivery", "Rule", "Destination", "Status", "Tries", "Reason"), rows)
    if event.next_page is not None:
        typer.echo(f"More: --page {event.next_page}")


def _print_delivery(record: DeliveryRecord) -> None:
    print_fields(
        [
            ("Delivery", record.id),
            ("Event", record.event),
            ("Rule", record.rule),
            ("Channel", record.channel.value),
            ("Destination", record.destination),
            ("Status", record.status.value),
            ("Reason", record.reason),
            ("Queued", moment(record.queued)),
            ("Updated", moment(record.updated)),
            ("Next try", moment(record.next_try)),
            ("Template", record.template),
            ("Kept in", record.kept_in.value),
        ]
    )
    if not record.attempts:
        typer.echo("\nNot tried yet.")
        return
    typer.echo()
    rows = (
        (a.number, moment(a.started), f"{a.duration:.3f} s", a.outcome, a.code, a.reply, a.worker)
        for a in record.attempts
    )
    print_table("", ("Try", "Started", "Took", "Outcome", "Code", "Reply", "Worker"), rows)
