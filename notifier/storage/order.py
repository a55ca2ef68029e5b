"""Reading what a hash holds page by page in one order, as operations: each entry that stays is seen exactly once.

A hash has no order, and a walk over one may give an entry twice while it shrinks. Beside it lies a sorted set of its
names, all of score 0 and so in the order of their bytes, which every script changes that changes the hash. A release
before knows the hash only; where their sizes differ, the order is put right before a page is read.

On a Cluster a hash is divided (`spread`), and each part has its order; pages go through one part after the other. The
name with which a page ended says in which part that was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.spread import Spread

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
    """A hash and the order of its names, in one slot; of each tag."""

    hash: Callable[[str], str]
    key: Callable[[str], str]
    members: Callable[[str, str], Sequence[str]]
    """Name and value → what the order has for it."""
    each: int
    """How many these are, always."""


def page(order: Order, group: str, after: str, limit: int, spread: Spread) -> Operation[tuple[dict[str, str], str]]:
    """So many names of a group behind ``after`` with their values, and what to read on after; empty on the last page.

    Names that went meanwhile are left out.
    """
    begun = spread.tags[spread.tags.index(spread.tag(after)) if after else 0 :]
    sizes = yield from _put_right(order, begun)
    names: list[tuple[str, str]] = []
    start, last = after, 0
    while last < len(begun) and len(names) <= limit:
        first, last = last, _enough(sizes, last, limit + 1 - len(names))
        some = [tag for tag, size in zip(begun[first:last], sizes[first:last], strict=True) if size]
        replies = yield [_range(order, tag, group, start if tag == begun[0] else "", limit + 1) for tag in some]
        names += [(tag, one) for tag, found in zip(some, replies, strict=True) for one in found]
    shown = [(tag, one[len(member(group, "")) :]) for tag, one in names[:limit]]
    found = yield from _values(order, shown)
    return found, shown[-1][1] if len(names) > limit else ""


def _enough(sizes: Sequence[int], first: int, wanted: int) -> int:
    """Behind the last part that is read together with the ``first``."""
    there, last = 0, first
    while last < len(sizes) and there < wanted:
        # What was read already of the first one is not known.
        there += sizes[last] if last else 0
        last += 1
    return last


def _range(order: Order, tag: str, group: str, after: str, limit: int) -> Call:
    begins = member(group, "")
    first = f"({begins}{after}" if after else f"[{begins}"
    return command("ZRANGEBYLEX", order.key(tag), first, f"({begins}{_LAST}", "LIMIT", 0, limit)


def _values(order: Order, names: Sequence[tuple[str, str]]) -> Operation[dict[str, str]]:
    parts: dict[str, list[str]] = {}
    for tag, name in names:
        parts.setdefault(tag, []).append(name)
    if not parts:
        return {}
    replies = yield [command("HMGET", order.hash(tag), *some) for tag, some in parts.items()]
    pairs = [p for some, values in zip(parts.values(), replies, strict=True) for p in zip(some, values, strict=True)]
    return {name: value for name, value in pairs if value is not None}


def _put_right(order: Order, tags: Sequence[str]) -> Operation[list[int]]:
    """How many names these parts have."""
    counts = yield [
        command(how, place(tag)) for how, place in (("HLEN", order.hash), ("ZCARD", order.key)) for tag in tags
    ]
    sizes = counts[: len(tags)]
    for tag, there, listed in zip(tags, sizes, counts[len(tags) :], strict=True):
        if there * order.each != listed:
            yield from _put_part_right(order, tag)
    return sizes


def _put_part_right(order: Order, tag: str) -> Operation[None]:
    cursor = ""
    while cursor != "0":
        (reply,) = yield [command("HSCAN", order.hash(tag), cursor or "0", "COUNT", _CHUNK)]
        cursor, entries = str(reply[0]), reply[1]
        yield from _tidy(order, tag, [(n, one) for n, value in entries.items() for one in order.members(n, value)])
    cursor = ""
    while cursor != "0":
        (reply,) = yield [command("ZSCAN", order.key(tag), cursor or "0", "COUNT", _CHUNK)]
        cursor, members = str(reply[0]), [one for one, _ in reply[1]]
        yield from _tidy(order, tag, [(one.rpartition(_UNIT)[2], one) for one in members])


def _tidy(order: Order, tag: str, pairs: Sequence[tuple[str, str]]) -> Operation[None]:
    for start in range(0, len(pairs), _CHUNK):
        words = (word for pair in pairs[start : start + _CHUNK] for word in pair)
        yield [run_script("tidy_order", [order.hash(tag), order.key(tag)], *words)]
