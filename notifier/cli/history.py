"""``notifier history``: the role that moves what ended to PostgreSQL, and its tables."""

from __future__ import annotations

from typing import Annotated

import typer

from notifier.cli.auditing import changing, note
from notifier.cli.exits import EXPLAINED, SpeakingGroup
from notifier.cli.printing import moment, print_fields, print_json

group = typer.Typer(
    cls=SpeakingGroup,
    help="What ended, kept in PostgreSQL: the role that moves it there, and its tables.",
    epilog=EXPLAINED,
    no_args_is_help=True,
)


@group.command()
def run() -> None:
    """Move what ended to PostgreSQL until it is stopped. Several may run; one works at a time.

    Example: notifier history run
    """
    from notifier.process import configure_logs, settings
    from notifier.wiring.history import require, run_history

    require(settings())
    configure_logs()
    run_history(settings())


@group.command()
@changing
def init(
    grant_to: Annotated[
        str, typer.Option("--grant-to", metavar="ROLE", help="Let this role of PostgreSQL use the tables.")
    ] = "",
    only_print: Annotated[bool, typer.Option("--print", help="Print the SQL instead of running it.")] = False,
) -> None:
    """Make the history's tables in the database of NOTIFIER_HISTORY_URL, as their owner. May be run again.

    Example: notifier history init --grant-to notifier
    """
    from notifier.history.schema import statements

    text = statements(grant_to)
    if only_print:
        typer.echo(text)
        return
    from notifier.process import settings
    from notifier.wiring.history import build_schema_database

    with build_schema_database(settings()).session() as session, session.transaction():
        session.execute(text)
    note("history.initialised", granted_to=grant_to)
    typer.echo("the history's tables are there" + (f"; {grant_to} may use them" if grant_to else ""))


@group.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say how much waits in Redis to be moved, and since when.

    Example: notifier history status
    """
    from notifier.process import settings
    from notifier.storage.feed import Feed
    from notifier.wiring.stores import build_store

    store = build_store(settings(), connections=2)
    try:
        backlog = Feed(store).backlog()
    finally:
        store.close()
    if as_json:
        print_json({"waiting": backlog.waiting, "since": backlog.since, "given_up": backlog.given_up})
        return
    print_fields(
        [("Waiting", backlog.waiting), ("Since", moment(backlog.since)), ("Given up", backlog.given_up)],
    )
