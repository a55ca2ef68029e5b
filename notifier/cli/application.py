"""The command line as a whole: which verb lives where."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

from notifier.cli import (
    checking,
    configuration,
    content,
    endpoints,
    failures,
    forgetting,
    history,
    limits,
    processes,
    publishing,
    recipients,
    relays,
    showing,
    sizing,
    suppressions,
    topology,
)
from notifier.cli.exits import EXPLAINED, SpeakingGroup

application = typer.Typer(
    name="notifier",
    cls=SpeakingGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXPLAINED,
)

application.add_typer(configuration.group, name="config")
application.add_typer(topology.group, name="topology")
application.add_typer(checking.templates, name="templates")
application.add_typer(endpoints.group, name="endpoints")
application.add_typer(recipients.group, name="recipients")
application.add_typer(suppressions.group, name="suppressions")
application.add_typer(failures.group, name="failures")
application.add_typer(limits.group, name="limits")
application.add_typer(history.group, name="history")
application.command("publish")(publishing.publish)
application.command("show")(showing.show)
application.command("forget")(forgetting.forget)
application.command("explain")(content.explain)
application.command("relays")(relays.relays)
application.command("size")(sizing.size)
for _name, _verb in processes.VERBS.items():
    # Only verbs that hand options on to another program take ones they do not know.
    _hands_on = "ctx" in inspect.signature(_verb).parameters
    application.command(_name, context_settings={"allow_extra_args": _hands_on, "ignore_unknown_options": _hands_on})(
        _verb
    )


@application.command()
def version() -> None:
    """Print the version.

    Example: notifier version
    """
    from notifier import __version__

    typer.echo(__version__)


@application.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    shows_version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Domain events in, emails and signed webhooks out; every failure kept where it can be seen and replayed."""
    if shows_version:
        ctx.invoke(version)
        raise typer.Exit


def run() -> None:
    """Run the command line of this process."""
    application(prog_name="notifier")
