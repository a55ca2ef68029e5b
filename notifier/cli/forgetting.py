"""``notifier forget``: take a person out of what is kept about them."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from notifier.cli.auditing import changing, note, steps
from notifier.cli.confirming import confirm
from notifier.cli.printing import print_fields, print_json


@changing
def forget(
    who: Annotated[
        str, typer.Argument(metavar="PERSON|ADDRESS", help="A recipient's id, an email address or a phone number.")
    ],
    suppress: Annotated[
        bool, typer.Option("--suppress", help="Also send nothing to the address from now on; a hash of it is kept.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Erase a person from the directory, the ledger, the history, failure queues and open digests.

    It says first how much that is.

    Deliveries that wait for a retry end as skipped. The ledger and the history keep that something was sent, but not
    to whom.

    Example: notifier forget kim@example.org --dry-run
    """
    from notifier.process import settings
    from notifier.wiring.people import build_forgetting

    forgetting = build_forgetting(settings())
    found = forgetting.look(who)
    if not dry_run:
        if not yes and not as_json:
            _print(found, as_json=False)
        confirm(f"forget {found.key}", yes)
        with steps("person.forget", key=found.key):
            found = forgetting.forget(who, suppress=suppress)
        note("person.forgotten", key=found.key)
    _print(found, as_json=as_json)
    if not as_json:
        typer.echo("nothing was done" if dry_run else "forgotten")


def _print(found: object, *, as_json: bool) -> None:
    values = dataclasses.asdict(found)  # type: ignore[call-overload]
    if as_json:
        print_json(values)
    else:
        print_fields((name.capitalize(), str(value)) for name, value in values.items())
