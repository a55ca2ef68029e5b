"""What a template names and nothing has, told in the template's own words and at the place where it is written.

An undefined value may travel, through ``set`` and into macros and filters, and fails far from the name that is wrong.
Only names that templates write are told: what stands between brackets may be a value of somebody's data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from jinja2 import nodes

#: What to do about any of them.
FIX = "write the name as the data has it, or say what stands there without it: `| default('…')`"


class Absent(str):
    """The message of an undefined value, with its parts: what has no such name is known only by its kind."""

    name: str
    """What is written behind a dot, or alone; empty for what stands between brackets."""
    kind: str
    """Of what the dot stands behind; empty for a name that stands alone."""
    known: Collection[Any]

    @classmethod
    def said(cls, text: str, known: Collection[Any], name: str = "", kind: str = "") -> Absent:
        """``text`` is the message as far as it is known without the template; ``known`` the names there are."""
        made = cls(text + nearest(name or text, known))
        made.name, made.kind, made.known = name, kind, known
        return made

    def at(self, place: Written) -> str:
        """The same once it is known how the template calls what has no such name."""
        if not self.kind:
            return f"{self.name!r} is undefined{nearest(self.name, {*self.known, *place.names})}"
        if not place.owner:
            return str(self)
        is_what = "" if self.kind == "an object" else f" is {self.kind} and"
        return f"{place.owner}{is_what} has no {self.name!r}{nearest(self.name, self.known)}"


def nearest(name: str, known: Iterable[Any]) -> str:
    """The known name that was probably meant, else some of them."""
    names = [n for n in list(known)[:200] if isinstance(n, str) and len(n) <= 64]
    close = get_close_matches(name[:64], names, 1, 0.5)
    if close:
        return f"; nearest: {close[0]!r}"
    return f"; there is {', '.join(sorted(names)[:8])}" if names else ""


@dataclass(frozen=True, slots=True)
class Written:
    """Where a name stands, and behind what."""

    line: int
    owner: str
    """``data.customer``; empty for a name that stands alone, or behind something that has no short name."""
    names: frozenset[str] = frozenset()
    """What the template itself gives names to, for a name that stands alone."""


def written(tree: nodes.Node, name: str, *, alone: bool, line: int | None) -> Written | None:
    """The place of a name in the expressions that begin on a line; with None the only one in all of the template."""
    found = {(node.lineno, _owner(node)) for node in _within(tree, line) if _is(node, name, alone=alone)}
    if not found or (line is None and len(found) > 1):
        return None
    return Written(*min(found), _declared(tree) if alone else frozenset())


def _declared(tree: nodes.Node) -> frozenset[str]:
    """Imports, macros, and what ``set`` and ``for`` name."""
    found = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    found |= {node.name for node in tree.find_all(nodes.Macro)} | {n.target for n in tree.find_all(nodes.Import)}
    for node in tree.find_all(nodes.FromImport):
        found |= {name if isinstance(name, str) else name[1] for name in node.names}
    return frozenset(found)


def _within(tree: nodes.Node, line: int | None) -> Iterator[nodes.Node]:
    if line is None:
        yield tree
        yield from tree.find_all((nodes.Getattr, nodes.Name))
        return
    for expression in (tree, *tree.find_all(nodes.Expr)):
        if isinstance(expression, nodes.Expr) and expression.lineno == line:
            yield expression
            yield from expression.find_all((nodes.Getattr, nodes.Name))


def _is(node: nodes.Node, name: str, *, alone: bool) -> bool:
    if alone:
        return isinstance(node, nodes.Name) and node.name == name and node.ctx == "load"
    return isinstance(node, nodes.Getattr) and node.attr == name


def _owner(node: nodes.Node) -> str:
    return _spoken(node.node) if isinstance(node, nodes.Getattr) else ""


def _spoken(node: nodes.Node) -> str:
    if isinstance(node, nodes.Name):
        return str(node.name)
    if isinstance(node, nodes.Getattr):
        return f"{before}.{node.attr}" if (before := _spoken(node.node)) else ""
    if isinstance(node, nodes.Getitem):
        return f"{before}[…]" if (before := _spoken(node.node)) else ""
    return ""
