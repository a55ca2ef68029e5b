"""``notifier suppressions``: addresses nothing is sent to, because a relay said they do not exist or people asked."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from notifier.cli.confirming import confirm
from notifier.cli.exits import EXPLAINED, SpeakingGroup
from notifier.cli.opening import opened_stores
from notifier.cli.printing import print_fields, print_json, print_table
from notifier.errors import NotFound

group = typer.Typer(cls=SpeakingGroup, help="Addresses nothing is sent to.", epilog=EXPLAINED, no_args_is_help=True)

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="An email address, or its rcp_… key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@group.command("list")
def listing(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="About how many.")] = 100, as_json: AsJson = False
) -> None:
    """List suppressed addresses by their key; the addresses themselves are not kept.

    Example: notifier suppressions list --json
    """
    with opened_stores() as stores:
        entries = stores.suppressions.list(limit).entries
    if as_json:
        print_json([dataclasses.asdict(entry) for entry in entries])
        return
    print_table("", ("Key", "Reason", "Since"), ((e.recipient_key, e.reason, _when(e.since)) for e in entries))


@group.command()
def show(address: Address, as_json: AsJson = False) -> None:
    """Say whether an address is suppressed and why.

    Example: notifier suppressions show kim@example.org
    """
    with opened_stores() as stores:
        found = stores.suppressions.get(_key(address))
    if found is None:
        raise NotFound(f"{address} is not suppressed")
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        print_fields((("Key", found.recipient_key), ("Reason", found.reason), ("Since", _when(found.since))))


@group.command()
def add(
    address: Address, reason: Annotated[str, typer.Option(help="Shown to whoever asks.")] = "by an operator"
) -> None:
    """Send nothing to an address from now on.

    Example: notifier suppressions add kim@example.org --reason "asked by phone"
    """
    with opened_stores() as stores:
        is_new = stores.suppressions.add(_key(address), reason, time.time())
    typer.echo(f"suppressed {_key(address)}" if is_new else f"{_key(address)} was suppressed already")


@group.command()
def remove(address: Address, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Write to an address again.

    Example: notifier suppressions remove kim@example.org --yes
    """
    confirm(f"write to {_key(address)} again", yes)
    with opened_stores() as stores:
        if not stores.suppressions.remove(_key(address)):
            raise NotFound(f"{address} is not suppressed")
    typer.echo(f"removed {_key(address)}")


def _key(address: str) -> str:
    from notifier.domain.ids import recipient_key

    return address if address.startswith("rcp_") else recipient_key(address)


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
