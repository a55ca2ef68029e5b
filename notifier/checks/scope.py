"""`Scope`: which names there are at a place of a template, and what tests have told about values on the way there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from jinja2 import nodes

from notifier.checks.types import ABSENT, Type, union

#: How a value is reached: ``("data", "items", 0)``.
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Immutable: a branch has one of its own."""

    names: Mapping[str, Type]
    facts: Mapping[Path, Type] = field(default_factory=dict)
    """What is known of a value better than by its type, because somebody asked."""

    def having(self, name: str, value: Type) -> Scope:
        """With a name set: what was known of the value of before is forgotten."""
        facts = {path: kind for path, kind in self.facts.items() if path[0] != name}
        return replace(self, names={**self.names, name: value}, facts=facts)

    def knowing(self, path: Path, value: Type) -> Scope:
        """With a fact; what was known of its parts stays."""
        return replace(self, facts={**self.facts, path: value})

    def below(self, before: Scope) -> Scope:
        """The facts of here for the names of before: what a block sets ends with it."""
        return replace(self, names=before.names)


def joined(scopes: Iterable[Scope]) -> Scope:
    """What holds whichever of the branches was run."""
    first, *others = scopes
    names: dict[str, Type] = {}
    for name in dict.fromkeys(name for scope in (first, *others) for name in scope.names):
        names[name] = union(*(scope.names.get(name, ABSENT) for scope in (first, *others)))
    facts = {
        path: union(kind, *(scope.facts[path] for scope in others))
        for path, kind in first.facts.items()
        if all(path in scope.facts for scope in others)
    }
    return Scope(names, facts)


def path_of(node: nodes.Node) -> Path | None:
    """How an expression reaches its value, when that is written out."""
    match node:
        case nodes.Name():
            return (node.name,)
        case nodes.Getattr():
            owner = path_of(node.node)
            return None if owner is None else (*owner, node.attr)
        case nodes.Getitem(arg=nodes.Const(value=str() | int() as key)):
            owner = path_of(node.node)
            return None if owner is None else (*owner, key)
    return None


def spoken(path: Path) -> str:
    """``data.items[0].name``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def written(node: nodes.Node, otherwise: str = "the value") -> str:
    """As it is written, where that is short."""
    if (path := path_of(node)) is not None:
        return spoken(path)
    match node:
        case nodes.Const():
            return repr(node.value)
        case nodes.Filter(node=nodes.Expr() as inner):
            return f"{before} | {node.name}" if (before := written(inner, "")) else otherwise
        case nodes.Call():
            return f"{before}()" if (before := written(node.node, "")) else otherwise
        case nodes.Getitem() | nodes.Getattr():
            return f"{before}[…]" if (before := written(node.node, "")) else otherwise
    return otherwise
