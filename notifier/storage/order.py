"""Reading what a hash holds page by page in one order, as operations: each entry that stays is seen exactly once.

A hash has no order, and a walk over one may give an entry twice while it shrinks. Beside it lies a sorted set of its
names, all of score 0 and so in the order of their bytes, which every script changes that changes the hash. A release
before knows the hash only; where their sizes differ, the order is put right before a page is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from notifier.storage.commands import Operation, command, run_script

#: Between what a member begins with, to be read apart from others, and the name.
_UNIT = "\x1f"
#: Names put right by one script.
_CHUNK = 500
#: Behind every name, which is ASCII.
_LAST = "\x7f"


def member(group: str, name: str) -> str:
    """What the order has for a name, within a group that can be read alone; the names of no group are themselves."""
    return f"{group}{_UNIT}{name}" if group else name


@dataclass(frozen=True, slots=True)
class Order:
    """A hash and the order of its names, in one slot."""

    hash: str
    key: str
    members: Callable[[str, str], Sequence[str]]
    """Name and value → what the order has for it."""
    each: int
    """How many these are, always."""


def page(order: Order, group: str, after: str, limit: int) -> Operation[tuple[dict[str, str], str]]:
    """So many names of a group behind ``after`` with their values, and what to read on after; empty on the last page.

    Names that went meanwhile are left out.
    """
    yield from _put_right(order)
    begins = member(group, "")
    first = f"({begins}{after}" if after else f"[{begins}"
    (members,) = yield [command("ZRANGEBYLEX", order.key, first, f"({begins}{_LAST}", "LIMIT", 0, limit + 1)]
    names = [one[len(begins) :] for one in members[:limit]]
    if not names:
        return {}, ""
    (values,) = yield [command("HMGET", order.hash, *names)]
    found = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return found, names[-1] if len(members) > limit else ""


def _put_right(order: Order) -> Operation[None]:
    there, listed = yield [command("HLEN", order.hash), command("ZCARD", order.key)]
    if there * order.each == listed:
        return
    cursor = ""
    while cursor != "0":
        (reply,) = yield [command("HSCAN", order.hash, cursor or "0", "COUNT", _CHUNK)]
        cursor, entries = str(reply[0]), reply[1]
        yield from _tidy(order, [(n, one) for n, value in entries.items() for one in order.members(n, value)])
    cursor = ""
    while cursor != "0":
        (reply,) = yield [command("ZSCAN", order.key, cursor or "0", "COUNT", _CHUNK)]
        cursor, members = str(reply[0]), [one for one, _ in reply[1]]
        yield from _tidy(order, [(one.rpartition(_UNIT)[2], one) for one in members])


def _tidy(order: Order, pairs: Sequence[tuple[str, str]]) -> Operation[None]:
    for start in range(0, len(pairs), _CHUNK):
        words = (word for pair in pairs[start : start + _CHUNK] for word in pair)
        yield [run_script("tidy_order", [order.hash, order.key], *words)]
