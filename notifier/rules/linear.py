"""Whether a regular expression of a schema is matched in a time that grows with the text and no faster.

`schemas` runs patterns in an engine without backtracking (Rust's regex), which knows no look-around and no
back-references: nothing else can promise that time. What is left is the pattern's own length when its repetitions are
written out: ``[a-z]{0,5000}b`` looked at one text of 256 kB for 259 seconds (measured), so that is bounded as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

#: Characters of a pattern whose ``{m,n}`` are written out.
MAX_WRITTEN_OUT = 600
_AROUND = ("(?=", "(?!", "(?<=", "(?<!")
_BACK = re.compile(r"\\[1-9k]")
_TOKEN = re.compile(
    r"(?P<atom>\\[pPxu]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^()\[\]{}|?*+\\])"
    r"|(?P<open>\((?:\?(?:[:=!]|<[=!]|P?<[^>]*>|[a-z-]*:?))?)"
    r"|(?P<close>\))"
    r"|\{(?P<least>\d{1,9})(?:,(?P<most>\d{0,9}))?\}"
    r"|(?P<other>.)",
    re.DOTALL,
)
#: Keywords whose keys are names of others' choice, and those that hold no schemas but values.
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_VALUES = ("const", "enum", "default", "examples")
_Path = tuple[str | int, ...]


def patterns(schema: Any, path: _Path = ()) -> Iterator[tuple[_Path, str]]:
    """Every regular expression of a schema, with where it stands."""
    if isinstance(schema, list):
        for place, one in enumerate(schema):
            yield from patterns(one, (*path, place))
    elif isinstance(schema, dict):
        for key, value in schema.items():
            yield from _of_keyword(key, value, (*path, key))


def _of_keyword(key: str, value: Any, here: _Path) -> Iterator[tuple[_Path, str]]:
    if key == "pattern" and isinstance(value, str):
        yield here, value
    elif key in _BY_NAME and isinstance(value, dict):
        if key == "patternProperties":
            yield from ((here, name) for name in value)
        for name, one in value.items():
            yield from patterns(one, (*here, name))
    elif key not in _VALUES:
        yield from patterns(value, here)


def mistake_in(pattern: str) -> str:
    """Why its time is not bounded, and what to write instead; empty when it is."""
    tokens = list(_TOKEN.finditer(pattern))
    if any(token["open"] in _AROUND for token in tokens):
        return "looks ahead or behind, which takes time without bound: write what may stand there instead"
    if any(_BACK.match(token["atom"] or "") for token in tokens):
        return "refers back to a group, which takes time without bound: leave the check to a rule's expression"
    if (length := written_out(pattern)) > MAX_WRITTEN_OUT:
        return (
            f"stands for {length:,} characters when its repetitions are written out, of {MAX_WRITTEN_OUT:,}: "
            "write * or + and bound the text with maxLength"
        )
    return ""


def written_out(pattern: str) -> int:
    """How many characters and classes it has when each ``{m,n}`` is written n times, and ``{m,}`` m times."""
    groups = [0]
    last = 0
    for token in _TOKEN.finditer(pattern):
        if token["atom"]:
            last = 1
            groups[-1] += 1
        elif token["open"]:
            groups.append(0)
            last = 0
        elif token["close"] and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif token["least"]:
            times = max(1, int(token["most"] or token["least"]))
            groups[-1] += last * (times - 1)
            last *= times
    return sum(groups)
