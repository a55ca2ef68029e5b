"""``notifier topology``: the exchanges and queues on the broker."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from notifier.cli.auditing import changing, note
from notifier.cli.exits import EXPLAINED, USAGE, SpeakingGroup, complain, fail
from notifier.cli.printing import print_json, print_table

group = typer.Typer(
    cls=SpeakingGroup,
    help="Exchanges and queues: what is needed, and declaring it.",
    epilog=EXPLAINED,
    no_args_is_help=True,
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@group.command()
def show(as_json: Json = False) -> None:
    """Print what the service needs on the broker; asks nobody.

    Example: notifier topology show --json
    """
    from consumers.topology import describe
    from notifier.domain.topology import QUEUES

    if as_json:
        print_json(describe())
        return
    rows = ((queue.name, queue.exchange, queue.routing_key, _arguments(queue.arguments)) for queue in QUEUES)
    print_table("", ("Queue", "Exchange", "Routing key", "Arguments"), rows)
    typer.echo("Besides: 28 celery_delayed_* queues that hold retries until they are due. All of it: --json")


@group.command()
@changing
def apply(as_json: Json = False) -> None:
    """Declare everything on the broker of NOTIFIER_BROKER_URL; what is there already stays.

    Example: notifier topology apply
    """
    from consumers.topology import apply_topology
    from notifier.wiring.process import settings

    ours = settings()
    if ours.embedded:
        raise fail("NOTIFIER_BROKER_URL is Redis (embedded mode): there is nothing to declare", USAGE)
    declared = apply_topology(ours.broker_url, ours.broker_ca_file)
    note("topology.applied", declared=len(declared))
    if as_json:
        print_json([asdict(entry) for entry in declared])
        return
    for kind, plural in (("exchange", "exchanges"), ("queue", "queues"), ("binding", "bindings")):
        typer.echo(f"{sum(entry.kind == kind for entry in declared)} {plural}")
    for advice in dict.fromkeys(entry.note for entry in declared if entry.note):
        complain(advice)


def _arguments(arguments: dict[str, str | int]) -> str:
    return " ".join(f"{name.removeprefix('x-')}={value}" for name, value in arguments.items())
