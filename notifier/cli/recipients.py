"""``notifier recipients``: people known by an id, so that events can name them without their address."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from notifier.cli.auditing import changing, note
from notifier.cli.confirming import confirm
from notifier.cli.exits import EXPLAINED, SpeakingGroup
from notifier.cli.opening import opened_stores
from notifier.cli.printing import print_fields, print_json
from notifier.cli.recipient_files import bring_in, reindex, take_out
from notifier.errors import NotFound

group = typer.Typer(cls=SpeakingGroup, help="People known by an id.", epilog=EXPLAINED, no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="Your id of the person, such as user-4711; not an address.")]


@group.command("set")
@changing
def put(
    identity: Id,
    email: Annotated[str, typer.Option(help="Address.")] = "",
    name: Annotated[str, typer.Option(help="Shown in the To header.")] = "",
    locale: Annotated[str, typer.Option(help="Which translation: de, pt-BR.")] = "",
    timezone: Annotated[str, typer.Option(help="For times and digests: Europe/Vienna.")] = "",
    phone: Annotated[str, typer.Option(help="With + and the country code: +491701234567.")] = "",
    address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=ADDRESS", help="What a provider knows them by, such as slack=U123; may be repeated."
        ),
    ] = None,
) -> None:
    """Add or replace a person.

    Example: notifier recipients set user-4711 --email kim@example.org --phone +491701234567 --locale de
    """
    from notifier.api.recipients import checked_person
    from notifier.domain.recipient import Recipient

    addresses = dict(_kind_and_address(entry) for entry in address or ())
    person = checked_person(Recipient(identity, email.strip(), name, locale, timezone, phone, addresses))
    with opened_stores() as stores:
        stores.recipients.put([person])
    _note("put", identity)
    typer.echo(f"stored {identity}")


def _kind_and_address(entry: str) -> tuple[str, str]:
    kind, separator, address = entry.partition("=")
    if not separator:
        # Not quoted: it may be the address of a chat, which is its password.
        raise typer.BadParameter("write KIND=ADDRESS, such as push=ExponentPushToken[…]", param_hint="--address")
    return kind.strip(), address


@group.command()
def show(identity: Id, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show a person, with the address in clear.

    Example: notifier recipients show user-4711
    """
    with opened_stores() as stores:
        found = stores.recipients.get_many([identity]).get(identity)
    if found is None:
        raise NotFound(f"no recipient {identity!r}")
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        fields = {name: value for name, value in dataclasses.asdict(found).items() if name != "addresses"}
        print_fields((name.capitalize(), value) for name, value in [*fields.items(), *found.addresses.items()])


@group.command()
@changing
def remove(identity: Id, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Forget a person; deliveries that wait for this id are parked.

    Example: notifier recipients remove user-4711 --yes
    """
    confirm(f"forget {identity}", yes)
    with opened_stores() as stores:
        if not stores.recipients.remove(identity):
            raise NotFound(f"no recipient {identity!r}")
    _note("removed", identity)
    typer.echo(f"forgot {identity}")


group.command("import")(bring_in)
group.command("export")(take_out)
group.command()(reindex)


def _note(verb: str, identity: str) -> None:
    from notifier.audit import about_recipient

    note(f"recipient.{verb}", **about_recipient(identity))
