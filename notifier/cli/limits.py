"""``notifier limits``: rate limits, shown and changed while everything runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from notifier.cli.auditing import changing, note
from notifier.cli.exits import EXPLAINED, USAGE, SpeakingGroup, complain, fail
from notifier.cli.printing import print_json, print_table
from notifier.errors import ConfigurationError, NotFound

if TYPE_CHECKING:
    from notifier.domain.limit import Rate, Scope
    from notifier.domain.rule import Rule
    from notifier.limits.board import LimitBoard

group = typer.Typer(cls=SpeakingGroup, help="Rate limits.", epilog=EXPLAINED, no_args_is_help=True)

Which = Annotated[str, typer.Argument(metavar="SCOPE", help="relay, domain:gmail.com, tenant:acme, endpoint:ep_…, …")]


@group.command("list")
def browse(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List every limit with the rate in force and who waits for it.

    Example: notifier limits list
    """
    with _opened_board() as board:
        views = board.list()
    if as_json:
        print_json([dataclasses.asdict(view) for view in views])
        return
    rows = (
        (
            view.scope,
            view.rate,
            view.origin,
            "" if view.per_second is None else f"{view.per_second:.4g}/s",
            f"{view.factor:.0%}" if view.factor < 1 else "",
            f"about {view.waiting}, {view.line:.0f} s" if view.waiting else "",
        )
        for view in views
    )
    print_table("", ("Scope", "Rate", "From", "In force", "Slowed to", "Waiting"), rows)


@group.command("set")
@changing
def change(
    scope: Which, rate: Annotated[str, typer.Argument(metavar="RATE", help="100/s, 5/10s burst 2, or unlimited.")]
) -> None:
    """Limit something from now on; every worker follows within about a second, until it is reset.

    Example: notifier limits set domain:gmail.com '20/s burst 40'
    """
    wanted, parsed = _parsed(scope, rate)
    with _opened_board() as board:
        board.set(wanted, parsed)
    note("limit.set", scope=str(wanted), rate=rate)
    typer.echo(f"{wanted} is {parsed.written if parsed else 'unlimited'} from now on")


@group.command()
@changing
def reset(scope: Which) -> None:
    """Back to what settings, rules and endpoints say, at full rate.

    Example: notifier limits reset domain:gmail.com
    """
    wanted, _ = _parsed(scope, "unlimited")
    with _opened_board() as board:
        if not board.reset(wanted):
            raise NotFound(f"nothing was set for {wanted}")
    note("limit.reset", scope=str(wanted))
    typer.echo(f"reset {wanted}")


def _parsed(scope: str, rate: str) -> tuple[Scope, Rate | None]:
    from notifier.domain.limit import Scope, parse_limit

    try:
        return Scope.parse(scope), parse_limit(rate)
    except ValueError as error:
        raise fail(str(error), USAGE) from error


@contextmanager
def _opened_board() -> Iterator[LimitBoard]:
    from notifier.process import settings
    from notifier.wiring.limits import build_limit_board
    from notifier.wiring.stores import build_store

    ours = settings()
    store = build_store(ours, connections=2)
    try:
        yield build_limit_board(ours, store, _rules)
    finally:
        store.close()


def _rules() -> tuple[Rule, ...]:
    """Those of this machine's templates/; without them the other limits are shown all the same."""
    from notifier.process import settings
    from notifier.rules.content import Content

    try:
        return Content.load(settings().templates).catalog.rules
    except ConfigurationError as error:
        complain(f"limits of rules are left out: {error}")
        return ()
