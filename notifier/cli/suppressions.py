"""``notifier suppressions``: addresses that nothing, or not everything, is sent to, and every reason for it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from notifier.cli.auditing import changing, note
from notifier.cli.confirming import confirm
from notifier.cli.exits import EXPLAINED, USAGE, SpeakingGroup, fail
from notifier.cli.opening import opened_stores
from notifier.cli.printing import print_fields, print_json, print_table
from notifier.domain.ids import RECIPIENT_KEY
from notifier.errors import InvalidAddress, NotFound

if TYPE_CHECKING:
    from notifier.domain.suppression import Part, Suppression
    from notifier.storage.suppressions import Suppressions

group = typer.Typer(
    cls=SpeakingGroup,
    help="Addresses that nothing, or not everything, is sent to.",
    epilog=EXPLAINED,
    no_args_is_help=True,
)

Address = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS", help="An email address, a phone number with + and its country code, or an rcp_… key."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PARTS = "bounce, complaint, operator, forgotten, category:NAME"


@group.command("list")
def listing(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Addresses at once.")] = 100,
    after: Annotated[str, typer.Option(help="What the page before printed as its end.")] = "",
    as_json: AsJson = False,
) -> None:
    """List suppressed addresses by their key, with every part; the addresses themselves are not kept.

    Example: notifier suppressions list --json
    """
    with opened_stores() as stores:
        page = stores.suppressions.list(limit, after)
    if as_json:
        print_json([_as_dict(*entry) for entry in page.entries])
    else:
        rows = ((key, *_row(part)) for key, found in page.entries for part in found.parts)
        print_table("", ("Key", "Part", "Reason", "Since"), rows)
    if page.next:
        # Not within the JSON, which is a list.
        typer.echo(f"More: --after {page.next}", err=as_json)


@group.command()
def show(address: Address, as_json: AsJson = False) -> None:
    """Say whether an address is suppressed, and by which parts.

    Example: notifier suppressions show kim@example.org
    """
    with opened_stores() as stores:
        key = _key(address, stores.suppressions)
        found = stores.suppressions.get(key)
    if not found:
        raise NotFound(f"{address} is not suppressed")
    if as_json:
        print_json(_as_dict(key, found))
    else:
        print_fields((("Key", key),))
        print_table("", ("Part", "Reason", "Since"), map(_row, found.parts))


@group.command()
@changing
def add(
    address: Address,
    reason: Annotated[
        str, typer.Option(help="Shown to whoever asks, and in the ledger; addresses in it are masked.")
    ] = "by an operator",
    part: Annotated[
        str, typer.Option(metavar="PART", help="operator, complaint, bounce: everything; category:NAME: that alone.")
    ] = "operator",
) -> None:
    """Send nothing to an address from now on, or nothing of a category. Other parts of its suppression stay.

    Example: notifier suppressions add kim@example.org --reason "asked by phone"
    """
    wanted = _part(part, reason)
    if address.startswith("rcp_") and "@" not in address and not RECIPIENT_KEY.fullmatch(address):
        raise fail(f"{address[:80]!r} is no key of an address, as `notifier suppressions list` shows them", USAGE)
    with opened_stores() as stores:
        key = _key(address, stores.suppressions)
        change = stores.suppressions.add(key, wanted)
    note("suppression.added", key=key, part=wanted.name)
    before = change.before.get(wanted.name)
    if before is None or before == wanted:
        typer.echo(f"suppressed {key}: {wanted.name}")
    else:
        typer.echo(f"{key} was suppressed by {wanted.name} already: {before.detail}, since {_when(before.since)}")
    if others := [name for name in change.after.names if name != wanted.name]:
        typer.echo(f"also suppressed by: {', '.join(others)}")


@group.command()
@changing
def remove(
    address: Address,
    part: Annotated[
        str | None, typer.Option(metavar="PART", help=f"{_PARTS}, or all. Needed where there are several.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Lift one part of an address's suppression; every other stays.

    Without --part the only one there is. Where there are several, they are listed and nothing is done: a category is
    the recipient's own wish, and has nothing to do with a mailbox that exists again.

    Example: notifier suppressions remove kim@example.org --part bounce --yes
    """
    with opened_stores() as stores:
        key = _key(address, stores.suppressions)
        names = _chosen(address, stores.suppressions.get(key), part)
        confirm(f"lift {', '.join(names)} of {key}", yes)
        change = stores.suppressions.remove(key, names)
    if not change.removed:
        raise NotFound(f"{address} is not suppressed by {', '.join(names)}")
    note("suppression.lifted", key=key, parts=[part.name for part in change.removed])
    typer.echo(f"lifted {', '.join(p.name for p in change.removed)} of {key}")
    left = ", ".join(change.after.names)
    typer.echo(f"still suppressed by: {left}" if left else f"{key} is written to again")


def _chosen(address: str, found: Suppression, part: str | None) -> tuple[str, ...]:
    if not found:
        raise NotFound(f"{address} is not suppressed")
    if part == "all":
        return found.names
    if part is not None:
        if found.get(part) is None:
            raise NotFound(f"{address} is not suppressed by {part}; it is by: {', '.join(found.names)}")
        return (part,)
    if len(found.parts) > 1:
        raise fail(
            f"{address} is suppressed by several parts: {', '.join(found.names)}; nothing was done. "
            "Name the one to lift with --part, or --part all",
            USAGE,
        )
    return found.names


def _part(name: str, reason: str) -> Part:
    from notifier.domain.suppression import bounced, by_operator, complained, unsubscribed
    from notifier.rules.entries import CATEGORY

    now = time.time()
    made = {"operator": by_operator, "complaint": complained, "bounce": bounced}.get(name)
    if made is not None:
        return made(reason, now)
    kind, _, category = name.partition(":")
    if kind != "category" or not category:
        raise fail(f"--part is {name!r}; it is one of: operator, complaint, bounce, category:NAME", USAGE)
    if not CATEGORY.fullmatch(category):
        raise fail(f"{category[:80]!r} is no category, no rule can have it (letters, digits, . _ -)", USAGE)
    return unsubscribed(category, now)


def _key(address: str, suppressions: Suppressions) -> str:
    if address.startswith("rcp_") and "@" not in address:
        return address
    if address.startswith("+"):
        from notifier.domain.contacts import PHONE, contact_identity, parse_phone

        return suppressions.key_of(contact_identity(PHONE, parse_phone(address)))
    check_address(address)
    return suppressions.key_of(address)


def check_address(address: str) -> None:
    """Raises `InvalidAddress`: a name beside it, or a person's id, would have a key that nothing is ever sent to."""
    from notifier.domain.addresses import read_address

    try:
        read_address(address)
    except InvalidAddress as error:
        raise InvalidAddress(f"{address[:80]!r}: {error}; give the address alone, or its rcp_… key") from error


def _as_dict(key: str, found: Suppression) -> dict[str, Any]:
    """``reason`` and ``since`` are of all parts together, as scripts of the release before read them."""
    parts = [{"part": p.name, "reason": p.detail or p.reason, "since": p.since} for p in found.parts]
    reasons = dict.fromkeys(p.detail if p.kind == "operator" else p.reason for p in found.parts)
    return {"recipient_key": key, "reason": "; ".join(reasons), "since": found.since, "parts": parts}


def _row(part: Part) -> tuple[str, str, str]:
    return part.name, part.reason, _when(part.since)


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
