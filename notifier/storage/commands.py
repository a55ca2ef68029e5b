"""An operation as data: which commands to send, round trip by round trip, and what to make of the replies.

An `Operation` is a generator that yields one list of `Call` per round trip, is sent their replies and returns a result.
It does no I/O, so `store.Store` (threads and greenlets) and `store.AsyncStore` (asyncio) run the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

from notifier.domain.delivery import TRANSITIONS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, named for errors and known to the server by its SHA-1."""

    name: str
    source: str = field(repr=False)
    sha: str = field(repr=False)


class Call(NamedTuple):
    """One command of a round trip. Calls of one round trip must not depend on one another's order.

    A tuple, because an event makes three: a frozen dataclass takes three times as long to make.
    """

    words: tuple[str | int, ...]
    script: Script | None = None
    """Set for EVALSHA, so that an executor can load it into a server that forgot it."""
    near: str = ""
    """Of a command without a key: one that lies on the node of a Cluster that is to run it."""


Operation = Generator[Sequence[Call], list[Any], T]


def command(*words: str | int, near: str = "") -> Call:
    """A plain command."""
    return Call(words, None, near)


def run_script(name: str, keys: Sequence[str], *arguments: str | int) -> Call:
    """EVALSHA of ``lua/<name>.lua``; all ``keys`` must lie in one slot."""
    script = load_script(name)
    return Call(("EVALSHA", script.sha, len(keys), *keys, *arguments), script)


@cache
def load_script(name: str) -> Script:
    """Reads ``lua/<name>.lua``; its first line may name others that come before it: ``-- uses prelude and packs``."""
    folder = files("notifier.storage") / "lua"
    source = (folder / f"{name}.lua").read_text("utf-8")
    used = source.partition("\n")[0].removeprefix("-- uses ") if source.startswith("-- uses ") else ""
    for part in reversed(used.split(" and ") if used else ()):
        source = (folder / f"{part}.lua").read_text("utf-8").replace("@TRANSITIONS@", transitions_text()) + source
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def transitions_text() -> str:
    """The transition table as one constant Lua string: a table would be built anew on every call of a script."""
    moves = sorted(f"{current}>{following}" for current, ends in TRANSITIONS.items() for following in ends)
    return " " + " ".join(moves) + " "
