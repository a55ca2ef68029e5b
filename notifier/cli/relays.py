"""``notifier relays``: which mail relays there are; which of them, of senders or of providers are paused, and why."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from notifier.cli.opening import opened_relays
from notifier.cli.printing import moment, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from notifier.storage.limits import Adapted
    from notifier.storage.relays import NotedProvider, PausedRelay, RefusedSender


def relays(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the mail relays in order of preference, and which workers have paused them, a sender there, or a provider.

    Each worker finds out by itself whether a relay is well: it may be one machine that cannot reach it. A relay that no
    living worker has paused is up. A sender that a relay refuses waits alone; mails of others go on. Providers of
    channel files (SMS, chat) are listed while a worker leaves them alone.

    Example: notifier relays
    """
    with opened_relays() as (names, board, limits):
        paused, senders, adapted = board.paused(), board.senders(), limits.adapted()
        providers = _providers(board.providers(time.time()))
    slowed = {scope.name: found for scope, found in adapted.items() if scope.kind == "relay"}
    known = list(dict.fromkeys([*names, *(one.relay for one in paused)]))
    rows = [
        {
            **_row(name, [one for one in paused if one.relay == name], slowed.get(name)),
            "senders": _senders([one for one in senders if one.relay == name]),
        }
        for name in known
    ]
    if as_json:
        print_json([*rows, *providers])
        return
    print_table(
        "",
        ("Relay", "State", "Since", "Next probe", "Rate", "Workers", "Reason"),
        (
            (
                row["relay"],
                "up" if row["up"] else "paused",
                moment(row["since"]),
                moment(row["probe_at"]),
                row["rate"],
                len(row["paused_by"]) or "",
                row["reason"],
            )
            for row in rows
        ),
    )
    refused = [(row["relay"], one) for row in rows for one in row["senders"]]
    if refused:
        print_table(
            "Senders these relays refuse",
            ("Relay", "Sender", "Since", "Next probe", "Workers", "Reason"),
            (
                (
                    relay,
                    one["sender"],
                    moment(one["since"]),
                    moment(one["probe_at"]),
                    len(one["paused_by"]),
                    one["reason"],
                )
                for relay, one in refused
            ),
        )
    if providers:
        print_table(
            "Providers of channel files that wait",
            ("Provider", "Since", "Next probe", "Workers", "Reason"),
            (
                (
                    row["provider"],
                    moment(row["since"]),
                    moment(row["probe_at"]) if row["probe_at"] else "when workers are started again",
                    len(row["paused_by"]),
                    row["reason"],
                )
                for row in providers
            ),
        )


def _providers(noted: Sequence[NotedProvider]) -> list[dict[str, Any]]:
    """One for each provider, as the worker sees it that paused it first."""
    found = []
    for name in dict.fromkeys(one.provider for one in noted):
        notes = sorted((one for one in noted if one.provider == name), key=lambda one: one.since)
        found.append(
            {
                "provider": name,
                "up": False,
                "since": notes[0].since,
                "probe_at": min(one.probe_at for one in notes) or None,
                "reason": notes[0].reason,
                "paused_by": [one.owner for one in notes],
            }
        )
    return found


def _row(name: str, paused: Sequence[PausedRelay], adapted: Adapted | None) -> dict[str, Any]:
    first = min(paused, key=lambda one: one.since, default=None)
    return {
        "relay": name,
        "up": not paused,
        "since": first.since if first else None,
        "probe_at": min((one.probe_at for one in paused), default=None),
        "reason": first.reason if first else "",
        "rate": _rate(adapted),
        "slowed": dataclasses.asdict(adapted) if adapted else None,
        "paused_by": [one.owner for one in paused],
    }


def _senders(refused: Sequence[RefusedSender]) -> list[dict[str, Any]]:
    """One for each sender, as the worker sees it that paused it first."""
    names = dict.fromkeys(one.sender for one in sorted(refused, key=lambda one: one.since))
    found = []
    for name in names:
        notes = [one for one in refused if one.sender == name]
        first = min(notes, key=lambda one: one.since)
        found.append(
            {
                "sender": name,
                "since": first.since,
                "probe_at": min(one.probe_at for one in notes),
                "reason": first.reason,
                "paused_by": [one.owner for one in notes],
            }
        )
    return found


def _rate(adapted: Adapted | None) -> str:
    """What adaptation leaves of its rate; empty when it is used as fast as it may be."""
    if adapted is None:
        return ""
    if adapted.learned is None:
        return f"{adapted.factor:.0%} of its limit"
    return f"{adapted.factor * adapted.learned.per_second:.3g}/s, learned"
