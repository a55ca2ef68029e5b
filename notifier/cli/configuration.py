"""``notifier config``: which settings are in force, where each came from, and the reference pages made from code."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from notifier.cli.exits import EXPLAINED, SpeakingGroup, fail
from notifier.cli.printing import print_json, print_table

group = typer.Typer(cls=SpeakingGroup, help="Show the settings in force, secrets masked.", epilog=EXPLAINED)


@group.callback(invoke_without_command=True)
def show(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only settings that are not at their default.")] = False,
) -> None:
    """Show every setting with its value, secrets masked, and where it came from; warn of what will not work.

    Warnings are about what mail servers refuse, and what channel files name and nobody set.

    Ends with 2 when something that mails are made with is wrong: DKIM keys, host name, From, return path.

    Example: notifier config --changed
    """
    if ctx.invoked_subcommand:
        return
    from notifier.environment import entries, read_settings
    from notifier.wiring.advice import advice_below, mail_advice
    from notifier.wiring.channels import check_mail
    from notifier.zones import zone_advice

    ours = read_settings(os.environ)
    found = entries(ours, os.environ)
    chosen = [entry for entry in found if not changed or entry.origin != "default"]
    if as_json:
        print_json([{name: getattr(entry, name) for name in entry.__slots__} for entry in chosen])
    else:
        print_table("", ("Setting", "Value", "From"), ((e.variable, e.value, e.origin) for e in chosen))
        wrong, advice = advice_below(ours.templates, ours, os.environ)
        for problem in (*mail_advice(ours), *zone_advice(datetime.now(UTC).date()), *wrong, *advice):
            typer.echo(f"warning: {problem}", err=True)
    check_mail(ours)


@group.command()
def docs(
    context: typer.Context,
    folder: Annotated[Path, typer.Option("--folder", help="Where to write.")] = Path("docs/reference"),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a page is out of date.")] = False,
) -> None:
    """Write the reference pages of settings, command line and HTTP API from the code.

    Example: notifier config docs --check
    """
    from notifier.cli.reference import pages

    made = pages(context.find_root().command)
    stale = [name for name, text in made.items() if not _holds(folder / name, text)]
    if check and stale:
        raise fail(f"out of date: {', '.join(stale)}; run `notifier config docs`")
    for name in stale:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(made[name], encoding="utf-8")
        typer.echo(f"wrote {folder / name}")
    if not stale:
        typer.echo("up to date")


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text
