"""What a ``<style>`` says, taken apart: what can be written into elements, in which order, and what must stay.

The inliner only finds the elements. Left to it, a later ``margin`` loses to an earlier ``margin-top``, of two values of
one property (the first for Outlook) one is dropped, and rules it does not know vanish. So each declaration gets a
number, the elements are marked with the numbers, and `style` makes the attribute by the rules of the cascade
(CSS Cascading 4 §6.1): importance, specificity, order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

#: Stands for a declaration until the elements are found; no property of anybody begins so.
MARK = "--ntf-"

_IDENT = r"(?:\\.|[\w-]|[^\x00-\x7f])+"
_STRING = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_COMMENT = re.compile(rf"({_STRING})|/\*.*?(?:\*/|\Z)|<!--|-->", re.DOTALL)
_STEP = re.compile(rf"{_STRING}|url\([^\"')]*\)|\\.|[{{}}()\[\];]", re.DOTALL | re.IGNORECASE)
_COMMA = re.compile(rf"{_STRING}|\\.|[,()\[\]]", re.DOTALL)
_DECLARATION = re.compile(r"\s*([\w-]+)\s*:\s*(.+?)\s*(!\s*important)?\s*", re.DOTALL | re.IGNORECASE)
_ATTRIBUTE = re.compile(rf"\[(?:{_STRING}|[^\]\"'])*\]")
_NTH = re.compile(r":nth-(?:last-)?(?:child|of-type)\(\s*(?:even|odd|[\dn+\s-]+)\s*\)", re.IGNORECASE)
_NOT = re.compile(r":not\(([^(),]*)\)", re.IGNORECASE)
#: Pseudo-classes that say the same of a mail whenever it is read; others, and pseudo-elements, have no attribute.
_STATIC = frozenset(
    (
        ":root",
        ":empty",
        ":link",
        ":any-link",
        *tuple(f":{which}-{kind}" for which in ("first", "last", "only") for kind in ("child", "of-type")),
    )
)
_PART = re.compile(rf"(#{_IDENT})|(\.{_IDENT})|(::?{_IDENT}\(?)|({_IDENT})")


class Declaration(NamedTuple):
    """One ``property: value`` of one selector."""

    rank: tuple[bool, tuple[int, int, int], int]
    """Importance, specificity, place in the sheet."""
    rule: int
    name: str
    value: str
    """With ``!important``."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One ``<style>``."""

    marks: str
    """Its rules with marks for declarations, for the inliner."""
    stays: str
    """What no attribute can say, as it was written."""
    staying: tuple[str, ...]
    """Selectors of it, to be told of."""
    declarations: tuple[Declaration, ...]


@lru_cache(maxsize=128)
def read_sheet(source: str) -> Sheet:
    """Take a style sheet apart. Whatever is not understood stays as it is."""
    marks: list[str] = []
    stays: list[str] = []
    staying: list[str] = []
    declarations: list[Declaration] = []
    for number, (prelude, block) in enumerate(_rules(_COMMENT.sub(r"\1", source))):
        if prelude.startswith("@"):
            stays.append(prelude + block)
            continue
        if not prelude:
            continue
        found = list(_declared(block[1:-1]))
        selectors = _split(prelude)
        left = [one for one in selectors if "{" in block[1:-1] or specificity(one) is None]
        if left:
            stays.append(", ".join(left) + block)
            staying += left
        for selector in selectors:
            if selector not in left and (weight := specificity(selector)) is not None and found:
                first = len(declarations)
                declarations += (
                    Declaration((bool(important), weight, first + place), number, name, value)
                    for place, (name, value, important) in enumerate(found)
                )
                marked = ";".join(f"{MARK}{place}:0" for place in range(first, len(declarations)))
                marks.append(f"{_lowered(selector)}{{{marked}}}")
    return Sheet("\n".join(marks), "\n".join(stays), tuple(dict.fromkeys(staying)), tuple(declarations))


def style(declarations: Iterable[Declaration], own: str) -> str:
    """What an attribute says: these in their order, then ``own``, which the element says itself."""
    said = {name for name, value, _ in _declared(own) if "(" not in value}
    found = (one for one in sorted(declarations) if one.rank[0] or one.name not in said)
    return "".join(f"{one.name}: {one.value};" for one in _needed(found)) + own


def specificity(selector: str) -> tuple[int, int, int] | None:
    """Selectors Level 4 §17; None for what is no matter of elements, or what the inliner does not find."""
    text, attributes = _ATTRIBUTE.subn(" ", selector)
    text, numbers = _NTH.subn(" ", text)
    text = _NOT.sub(r" \1 ", text)
    ids, classes, types = 0, attributes + numbers, 0
    for an_id, a_class, pseudo, a_type in _PART.findall(text):
        if pseudo and pseudo.lower() not in _STATIC:
            return None
        ids += bool(an_id)
        classes += bool(a_class or pseudo)
        types += bool(a_type)
    return None if re.search(r"[()\[\]&|@]", text) or not text + selector else (ids, classes, types)


def _lowered(selector: str) -> str:
    """Names of elements have no case in HTML; the inliner knows them in small letters only."""
    parts = _ATTRIBUTE.split(selector)
    small = [_PART.sub(lambda part: part[0].lower() if part[4] else part[0], part) for part in parts]
    between = [found[0] for found in _ATTRIBUTE.finditer(selector)]
    return "".join(map("".join, zip(small, [*between, ""], strict=True)))


def _needed(found: Iterable[Declaration]) -> list[Declaration]:
    """Without what a later rule says anew, unless that is a function: a mail program may not know it."""
    kept: list[Declaration] = []
    for one in found:
        if "(" not in one.value:
            kept = [other for other in kept if other.name != one.name or other.rule == one.rule]
        kept.append(one)
    return kept


def _rules(source: str) -> Iterator[tuple[str, str]]:
    """Each rule as what stands before its block and the block; at-rules without one end with their semicolon."""
    start = position = depth = opened = 0
    while step := _STEP.search(source, position):
        position, sign = step.end(), step.group()
        if sign == "{":
            opened = opened if depth else step.start()
            depth += 1
        elif sign == "}" and depth:
            depth -= 1
            if not depth:
                yield source[start:opened].strip(), source[opened:position]
                start = position
        elif sign == ";" and not depth and source[start:position].lstrip().startswith("@"):
            yield source[start:position].strip(), ""
            start = position
    if depth:
        yield source[start:opened].strip(), source[opened:] + "}" * depth


def _declared(block: str) -> Iterator[tuple[str, str, str]]:
    """Name, value, importance."""
    start = position = depth = 0
    ends = []
    while step := _STEP.search(block, position):
        position, sign = step.end(), step.group()
        depth += (sign in "([{") - (sign in ")]}") if len(sign) == 1 else 0
        if sign == ";" and depth <= 0:
            ends.append((start, step.start()))
            start = position
    for begin, end in (*ends, (start, len(block))):
        if read := _DECLARATION.fullmatch(block[begin:end]):
            name = read[1] if read[1].startswith("--") else read[1].lower()
            yield name, read[2] + (" !important" if read[3] else ""), read[3] or ""


def _split(prelude: str) -> list[str]:
    """The selectors of a list."""
    found, start, position, depth = [], 0, 0, 0
    while step := _COMMA.search(prelude, position):
        position, sign = step.end(), step.group()
        if sign == "," and not depth:
            found.append(prelude[start : step.start()].strip())
            start = position
        elif len(sign) == 1:
            depth += (sign in "([") - (sign in ")]")
    return [*found, prelude[start:].strip()]
