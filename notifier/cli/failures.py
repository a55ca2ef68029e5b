"""``notifier failures``: what lies in the failure queues and why; send it again or drop it, counted first."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from notifier.cli.confirming import confirm
from notifier.cli.exits import EXPLAINED, USAGE, SpeakingGroup, fail
from notifier.cli.opening import opened_operator
from notifier.cli.printing import moment, print_fields, print_json, print_table, progress
from notifier.errors import BrokerUnavailable

if TYPE_CHECKING:
    from notifier.failures.operator import Operator, Summary
    from notifier.storage.parked import ParkedFilter

group = typer.Typer(
    cls=SpeakingGroup, help="Failure queues: look, send again, drop.", epilog=EXPLAINED, no_args_is_help=True
)

Identities = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Only these entries.")]
Channel = Annotated[str, typer.Option(help="email, webhook, digest or intake.")]
Cause = Annotated[str, typer.Option(help="Why it is there, such as exhausted or render_failed.")]
Rule = Annotated[str, typer.Option(help="Such as order.shipped/customer-email.")]
Tenant = Annotated[str, typer.Option(help="Only this tenant's.")]
EventType = Annotated[str, typer.Option("--type", help="Only this event type.")]
Older = Annotated[str, typer.Option(help="Parked at least this long ago: 90s, 15m, 6h, 2d.")]
Newer = Annotated[str, typer.Option(help="Parked at most this long ago.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count.")]
All = Annotated[bool, typer.Option("--all", help="Everything; needed when nothing else is chosen.")]


@group.command("list")
def browse(
    channel: Channel = "",
    cause: Cause = "",
    rule: Rule = "",
    tenant: Tenant = "",
    event_type: EventType = "",
    older_than: Older = "",
    newer_than: Newer = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Entries at once.")] = 50,
    after: Annotated[str, typer.Option(help="What the page before printed as its end.")] = "",
    as_json: Json = False,
) -> None:
    """List what is parked, newest first, with the counts of everything by cause.

    Example: notifier failures list --channel email --cause exhausted --newer-than 1d
    """
    operator = opened_operator()
    chosen = _chosen((), channel, cause, rule, tenant, event_type, older_than, newer_than)
    page = operator.search(chosen, limit=limit, after=after)
    counts = {f"{queue} {why}": count for (queue, why), count in sorted(operator.counts().items()) if count}
    if as_json:
        entries = [entry.as_dict() for entry in page.entries]
        print_json({"entries": entries, "next": page.cursor, "counts": counts, "unindexed": _unindexed(operator)})
        return
    for queue, messages in _unindexed(operator).items():
        typer.echo(
            f"{queue} holds {messages} more messages than this list knows: run `notifier failures reindex`", err=True
        )
    if not counts:
        typer.echo("Nothing is parked.")
        return
    print_fields((name, str(count)) for name, count in counts.items())
    typer.echo()
    rows = ((e.id, e.queue, e.cause.value, e.rule, e.destination, moment(e.parked_at), e.reason) for e in page.entries)
    print_table("", ("Id", "Queue", "Cause", "Rule", "Destination", "Parked", "Reason"), rows)
    if page.cursor:
        typer.echo(f"More: --after {page.cursor}")


@group.command()
def show(identity: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """Show one entry. `notifier show` on the same id tells every attempt.

    Example: notifier failures show dlv_7qk2…
    """
    entry = opened_operator().show(identity)
    if as_json:
        print_json(entry.as_dict())
        return
    print_fields(
        [
            ("Id", entry.id),
            ("Queue", entry.queue),
            ("Cause", entry.cause.value),
            ("Reason", entry.reason),
            ("Parked", moment(entry.parked_at)),
            ("Event", entry.event),
            ("Type", entry.event_type),
            ("Tenant", entry.tenant),
            ("Rule", entry.rule),
            ("Destination", entry.destination),
            ("Code", entry.code),
            ("Attempts", entry.attempts),
            ("Template", entry.template),
        ]
    )


@group.command()
def replay(
    ids: Identities = None,
    channel: Channel = "",
    cause: Cause = "",
    rule: Rule = "",
    tenant: Tenant = "",
    event_type: EventType = "",
    older_than: Older = "",
    newer_than: Newer = "",
    everything: All = False,
    rate: Annotated[float, typer.Option(min=0, help="Entries a second; 0 is no limit.")] = 0,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Send parked entries again, after saying how many. What was sent meanwhile is not sent twice.

    Example: notifier failures replay --cause render_failed --rule order.shipped/customer-email --rate 20
    """
    chosen = _chosen(tuple(ids or ()), channel, cause, rule, tenant, event_type, older_than, newer_than)
    _act("replay", chosen, everything=everything, dry_run=dry_run, yes=yes, as_json=as_json, rate=rate)


@group.command()
def discard(
    ids: Identities = None,
    channel: Channel = "",
    cause: Cause = "",
    rule: Rule = "",
    tenant: Tenant = "",
    event_type: EventType = "",
    older_than: Older = "",
    newer_than: Newer = "",
    everything: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Drop parked entries for good, after saying how many. The ledger keeps that they failed.

    Example: notifier failures discard --cause bad_recipient --older-than 30d --yes
    """
    chosen = _chosen(tuple(ids or ()), channel, cause, rule, tenant, event_type, older_than, newer_than)
    _act("discard", chosen, everything=everything, dry_run=dry_run, yes=yes, as_json=as_json)


@group.command()
def reindex() -> None:
    """Rebuild the index of the failure queues in Redis from the queues themselves, after Redis has lost it.

    Example: notifier failures reindex
    """
    operator = opened_operator()
    with progress("Reading the queues", 0) as moved:
        found = operator.reindex(progress=moved)
    typer.echo(f"found {found} entries")


def _unindexed(operator: Operator) -> dict[str, int]:
    """What the broker dead-lettered by itself; looking at the list must work while the broker is away."""
    try:
        return operator.unindexed()
    except BrokerUnavailable as error:
        typer.echo(f"the queues themselves could not be counted: {error}", err=True)
        return {}


def _act(
    verb: str, chosen: ParkedFilter, *, everything: bool, dry_run: bool, yes: bool, as_json: bool, rate: float = 0
) -> None:
    operator = opened_operator()
    if not everything and chosen == type(chosen)():
        raise fail(f"name ids or filters, or --all to {verb} everything", USAGE)
    count = operator.count(chosen)
    if dry_run or not count:
        _report(verb, {"chosen": count, "done": 0, "already_sent": 0, "missing": 0}, as_json, dry_run)
        return
    confirm(f"{verb} {count} {'entry' if count == 1 else 'entries'}", yes)
    with progress(verb.capitalize(), count) as moved:
        summary: Summary = (
            operator.replay(chosen, rate=rate, progress=moved)
            if verb == "replay"
            else operator.discard(chosen, progress=moved)
        )
    _report(verb, dataclasses.asdict(summary), as_json, dry_run)


def _report(verb: str, summary: dict[str, Any], as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json(summary)
    elif dry_run or not summary["chosen"]:
        typer.echo(f"{summary['chosen']} would be chosen; nothing was done")
    else:
        done = "sent again" if verb == "replay" else "dropped"
        typer.echo(f"{summary['done']} of {summary['chosen']} {done}")
        if summary["already_sent"]:
            typer.echo(f"{summary['already_sent']} sent meanwhile, not sent again")
        if summary["missing"]:
            typer.echo(f"{summary['missing']} taken by somebody else")


def _chosen(
    ids: tuple[str, ...], channel: str, cause: str, rule: str, tenant: str, event_type: str, older: str, newer: str
) -> ParkedFilter:
    from notifier.domain.outcome import Cause as Causes
    from notifier.domain.topology import FAILURE_QUEUES
    from notifier.storage.parked import ParkedFilter

    queue = f"failed-{channel}" if channel else ""
    if queue and queue not in FAILURE_QUEUES:
        known = ", ".join(name.removeprefix("failed-") for name in FAILURE_QUEUES)
        raise fail(f"--channel {channel!r}: there are {known}", USAGE)
    if cause and cause not in list(Causes):
        raise fail(f"--cause {cause!r}: there are {', '.join(Causes)}", USAGE)
    now = time.time()
    return ParkedFilter(
        queue=queue,
        cause=Causes(cause) if cause else None,
        rule=rule,
        tenant=tenant,
        event_type=event_type,
        older_than=None if not older else now - _seconds("--older-than", older),
        newer_than=None if not newer else now - _seconds("--newer-than", newer),
        ids=ids,
    )


def _seconds(option: str, text: str) -> float:
    from notifier.rules.durations import seconds

    found = seconds(text)
    if found is None:
        raise fail(f"{option} {text!r}: write a duration such as 90s, 15m, 6h or 2d", USAGE)
    return found
