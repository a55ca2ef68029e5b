"""``notifier topology``: the exchanges and queues on the broker."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from notifier.cli.auditing import changing, note
from notifier.cli.exits import EXPLAINED, FAILED, USAGE, SpeakingGroup, complain, fail
from notifier.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from consumers.policies import Management
    from notifier.settings import Settings

group = typer.Typer(
    cls=SpeakingGroup,
    help="Exchanges, queues and policies: print, declare and check them.",
    epilog=EXPLAINED,
    no_args_is_help=True,
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@group.command()
def show(as_json: Json = False) -> None:
    """Print what the service needs on the broker; connects to nothing.

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

    Where NOTIFIER_BROKER_MANAGEMENT_URL names RabbitMQ's management API it sets the policies too.

    Example: notifier topology apply
    """
    from consumers.topology import apply_topology

    ours = _with_rabbitmq("nothing to declare")
    declared = apply_topology(ours.broker_url, ours.broker_ca_file, _management(ours))
    note("topology.applied", declared=len(declared))
    if as_json:
        print_json([asdict(entry) for entry in declared])
        return
    for kind in ("policy", "exchange", "queue", "binding"):
        count = sum(entry.kind == kind for entry in declared)
        plural = "policies" if kind == "policy" else f"{kind}s"
        typer.echo(f"{count} {kind if count == 1 else plural}")
    for advice in dict.fromkeys(entry.note for entry in declared if entry.note):
        complain(advice)


@group.command()
def check() -> None:
    """Look whether the broker has everything, and on RabbitMQ 4 whether failure queues keep what is looked at.

    Changes nothing; exits with 1 when something is missing. Policies are looked at where NOTIFIER_BROKER_MANAGEMENT_URL
    names RabbitMQ's management API.

    Example: notifier topology check
    """
    from consumers.policies import limit_advice
    from consumers.topology import missing

    ours = _with_rabbitmq("nothing to look at")
    problems, version, vhost = missing(ours.broker_url, ours.broker_ca_file)
    management, advice = _management(ours), limit_advice(version, vhost)
    if management is None and advice:
        complain(f"whether it was done cannot be seen without NOTIFIER_BROKER_MANAGEMENT_URL: {advice}")
    elif management is not None:
        if advice and not problems:
            problems += management.limit_problems(vhost)
        nodes = management.leaders(vhost)
        typer.echo("Queues led by " + ", ".join(f"{node}: {count}" for node, count in sorted(nodes.items())))
    for problem in problems:
        complain(f"{problem}; run `notifier topology apply`")
    if problems:
        raise typer.Exit(FAILED)
    typer.echo(f"RabbitMQ {version} has everything that is needed")


def _with_rabbitmq(otherwise: str) -> Settings:
    from notifier.process import settings

    ours = settings()
    if ours.embedded:
        raise fail(f"NOTIFIER_BROKER_URL is Redis (embedded mode): there is {otherwise}", USAGE)
    return ours


def _management(ours: Settings) -> Management | None:
    from consumers.policies import Management

    url = ours.broker_management_url
    return Management(url, ours.broker_url, ours.broker_ca_file) if url else None


def _arguments(arguments: dict[str, str | int]) -> str:
    return " ".join(f"{name.removeprefix('x-')}={value}" for name, value in arguments.items())
