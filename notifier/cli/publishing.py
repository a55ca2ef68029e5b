"""``notifier publish``: events from a file or standard input to the broker, confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from notifier.cli.auditing import changing, note, steps
from notifier.cli.documents import read_events
from notifier.cli.exits import USAGE, fail
from notifier.cli.printing import print_json, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from notifier.domain.event import Event

#: Events published before the bar moves; their confirms are awaited together.
_TOGETHER = 500


@changing
def publish(
    file: Annotated[str, typer.Argument(help="One event, a JSON array, or one object a line; - is standard input.")],
    event_type: Annotated[str, typer.Option("--type", help="Type of every event; needed for bare data.")] = "",
    source: Annotated[str, typer.Option(help="Source of every event; needed for bare data.")] = "",
    identity: Annotated[str, typer.Option("--id", help="Id of the event; default: its own, or a new one.")] = "",
    tenant: Annotated[str, typer.Option(help="Tenant of every event.")] = "",
    urgent: Annotated[bool, typer.Option("--urgent", help="Take them in before all events that wait.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the keys as JSON.")] = False,
) -> None:
    """Publish events and wait until RabbitMQ has confirmed each of them. Nothing leaves if one cannot be read.

    Example: notifier publish - --type order.placed --source /shop/orders <order.json
    """
    events = read_events(file, {"type": event_type, "source": source, "id": identity, "tenant": tenant})
    if identity and len(events) > 1:
        raise fail("--id names one event, and there are several", USAGE)
    with steps("events.publish", events=len(events), first=events[0].key):
        _send(events, urgent=urgent)
    note("events.published", events=len(events), first=events[0].key)
    told: list[dict[str, Any]] = [{"id": e.id, "source": e.source, "key": e.key} for e in events]
    if as_json:
        print_json({"accepted": told})
    elif len(events) == 1:
        typer.echo(f"published {events[0].key}\nWhat became of it: notifier show {events[0].key}")
    else:
        typer.echo(f"published {len(events)} events")


def _send(events: Sequence[Event], *, urgent: bool) -> None:
    from notifier.domain.cloudevents import check_size
    from notifier.process import settings
    from notifier.wiring.intake import build_broker_intake

    ours = settings()
    if ours.embedded:
        where = f"http://127.0.0.1:{ours.api_port}/v1/events"
        why = (
            f"NOTIFIER_BROKER_URL is Redis (embedded mode): POST events to the API, {where} where it runs on this host"
        )
        raise fail(f"{why}, with a token of NOTIFIER_API_TOKENS that has the role publish", USAGE)
    for event in events:
        check_size(len(event.published), ours.event_max_bytes)
    intake = build_broker_intake(ours, "notifier publish")
    try:
        with progress("Publishing", len(events)) as moved:
            for start in range(0, len(events), _TOGETHER):
                intake.accept(events[start : start + _TOGETHER], urgent=urgent)
                moved(min(start + _TOGETHER, len(events)), len(events))
    finally:
        intake.close()
