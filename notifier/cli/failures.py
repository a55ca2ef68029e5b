"""``notifier failures``: what lies in the failure queues and why; send it again or drop it, counted first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from notifier.cli.auditing import changing, note, steps
from notifier.cli.choosing import Choice, Doing, with_options
from notifier.cli.confirming import confirm
from notifier.cli.exits import EXPLAINED, USAGE, SpeakingGroup, fail
from notifier.cli.opening import opened_operator
from notifier.cli.printing import moment, plain, print_fields, print_json, print_table, progress
from notifier.errors import BrokerUnavailable

if TYPE_CHECKING:
    from notifier.failures.operator import Operator, Summary
    from notifier.failures.payload import Payload

group = typer.Typer(
    cls=SpeakingGroup, help="Failure queues: look, send again, drop.", epilog=EXPLAINED, no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@group.command("list")
@with_options
def browse(
    chosen: Choice,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Entries at once.")] = 50,
    after: Annotated[str, typer.Option(help="What the page before printed as its end.")] = "",
    as_json: Json = False,
) -> None:
    """List what is parked, newest first, with the counts of everything by cause.

    Example: notifier failures list --channel email --cause exhausted --newer-than 1d
    """
    from notifier.storage.parked import CURSOR

    if after and not re.fullmatch(CURSOR, after):
        raise fail(f"--after {after[:80]!r}: give what the page before printed behind it", USAGE)
    operator = opened_operator()
    page = operator.search(chosen.entries(), limit=limit, after=after)
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
@changing
def show(
    identity: Annotated[str, typer.Argument(metavar="ID")],
    payload: Annotated[
        bool, typer.Option("--payload", help="Print what was published, too; it is logged who looked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one entry. `notifier show` on the same id tells every attempt.

    Example: notifier failures show evt_3kxq… --payload
    """
    operator = opened_operator()
    entry = operator.show(identity)
    published = operator.payload(identity) if payload else None
    if published:
        note("failures.payload_shown", id=identity)
    if as_json:
        print_json({**entry.as_dict(), **({"payload": _payload(published)} if published else {})})
        return
    print_fields(
        [
            ("Id", entry.id),
            ("Queue", entry.queue),
            ("Cause", entry.cause.value),
            ("Reason", entry.reason),
            ("Parked", moment(entry.parked_at)),
            ("Event", entry.event),
            ("Event id", entry.event_id),
            ("Source", entry.event_source),
            ("Type", entry.event_type),
            ("Time", entry.event_time),
            ("Tenant", entry.tenant),
            ("Rule", entry.rule),
            ("Destination", entry.destination),
            ("Code", entry.code),
            ("Attempts", entry.attempts),
            ("Template", entry.template),
        ]
    )

    if published is not None:
        typer.echo()
        print_fields([("Content type", published.content_type), *sorted(published.headers.items())])
        typer.echo()
        lines = (published.base64 or published.text or "").split("\n")
        typer.echo("\n".join(map(plain, lines)))


@group.command()
def unmatched(as_json: Json = False) -> None:
    """List the types of events no rule wanted in the last month, the most frequent first.

    Example: notifier failures unmatched
    """
    found = opened_operator().unmatched()
    if as_json:
        print_json([{"type": kind, "count": count} for kind, count in found])
        return
    if not found:
        typer.echo("Every event found a rule.")
        return
    print_table("", ("Type", "Events"), ((kind, str(count)) for kind, count in found))


@group.command()
@changing
@with_options
def replay(
    chosen: Doing, rate: Annotated[float, typer.Option(min=0, help="Entries a second; 0 is no limit.")] = 0
) -> None:
    """Send parked entries again, after saying how many. What was sent meanwhile is not sent twice.

    Example: notifier failures replay --cause render_failed --rule order.shipped/customer-email --rate 20
    """
    _act("replay", chosen, rate)


@group.command()
@changing
@with_options
def discard(chosen: Doing) -> None:
    """Drop parked entries for good, after saying how many. The ledger keeps that they failed.

    Example: notifier failures discard --cause bad_recipient --older-than 30d --yes
    """
    _act("discard", chosen)


@group.command()
@changing
def reindex() -> None:
    """Rebuild the index of the failure queues in Redis from the queues themselves, after Redis has lost it.

    Example: notifier failures reindex
    """
    operator = opened_operator()
    with steps("failures.reindex"), progress("Reading the queues", 0) as moved:
        found = operator.reindex(progress=moved)
    note("failures.reindexed", found=found)
    typer.echo(f"found {found} entries")


def _payload(published: Payload) -> dict[str, Any]:
    body = {"text": published.text, "base64": published.base64}
    return {"content_type": published.content_type, "headers": published.headers, **body}


def _unindexed(operator: Operator) -> dict[str, int]:
    """What the broker dead-lettered by itself; looking at the list must work while the broker is away."""
    try:
        return operator.unindexed()
    except BrokerUnavailable as error:
        typer.echo(f"the queues themselves could not be counted: {error}", err=True)
        return {}


def _act(verb: str, chosen: Doing, rate: float = 0) -> None:
    entries = chosen.named()
    if not chosen.everything and entries == type(entries)():
        raise fail(f"name ids or filters, or --all to {verb} everything", USAGE)
    operator = opened_operator()
    count = operator.count(entries)
    if chosen.dry_run or not count:
        _report(verb, {"chosen": count, "done": 0, "already_sent": 0, "missing": 0}, chosen)
        return
    confirm(f"{verb} {count} {'entry' if count == 1 else 'entries'}", chosen.yes)
    with steps(f"failures.{verb}", chosen=count), progress(verb.capitalize(), count) as moved:
        summary: Summary = (
            operator.replay(entries, rate=rate, progress=moved)
            if verb == "replay"
            else operator.discard(entries, progress=moved)
        )
    done = "failures.replayed" if verb == "replay" else "failures.discarded"
    note(done, chosen=summary.chosen, done=summary.done)
    # Here it takes as long as it takes: something remains only where Redis was away for longer than a walk's turn.
    names = ("chosen", "done", "already_sent", "missing", *(("remaining",) if summary.remaining else ()))
    _report(verb, {name: getattr(summary, name) for name in names}, chosen)


def _report(verb: str, summary: dict[str, Any], chosen: Doing) -> None:
    if chosen.as_json:
        print_json(summary)
    elif chosen.dry_run or not summary["chosen"]:
        typer.echo(f"{summary['chosen']} would be chosen; nothing was done")
    else:
        done = "sent again" if verb == "replay" else "dropped"
        typer.echo(f"{summary['done']} of {summary['chosen']} {done}")
        if summary["already_sent"]:
            typer.echo(f"{summary['already_sent']} sent meanwhile, not sent again")
        if summary["missing"]:
            typer.echo(f"{summary['missing']} taken by somebody else")
        if summary.get("remaining"):
            typer.echo(f"{summary['remaining']} not reached, because Redis was away: run it again")
