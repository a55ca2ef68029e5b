"""What a test tells about the values it asks: in the branch where it holds, and in the other one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jinja2 import nodes

from notifier.checks.place import Place
from notifier.checks.scope import Path, Scope, joined, path_of
from notifier.checks.signatures import KINDS
from notifier.checks.types import (
    ABSENT,
    ANYTHING,
    Absent,
    Anything,
    Boolean,
    Null,
    Number,
    ObjectOf,
    Text,
    Type,
    Union,
    falsy,
    literal,
    members,
    only,
    truthy,
    union,
    without,
)

_Value = Callable[[nodes.Node, Scope], Type]


class Narrowing:
    """Asks for types quietly: what is wrong with a test was told when its value was looked at."""

    def __init__(self, place: Place, value: _Value) -> None:
        self._place = place
        self._value = value

    def narrowed(self, test: nodes.Node, scope: Scope, *, holds: bool) -> Scope:
        """The scope where ``test`` is true, or where it is false."""
        match test:
            case nodes.Not():
                return self.narrowed(test.node, scope, holds=not holds)
            case nodes.And():
                return self._both(test, scope) if holds else self._one(test, scope, holds=False)
            case nodes.Or():
                return self._one(test, scope, holds=True) if holds else self._neither(test, scope)
            case nodes.Test():
                return self._tested(test, scope, holds=holds)
            case nodes.Compare(ops=[operand]):
                return self._compared(test, operand, scope, holds=holds)
            case nodes.Filter(name="default" | "d", node=nodes.Expr() as inner) if holds and _falls_to_falsy(test):
                # What is there instead counts as false, so here it is the value itself.
                return self._with(inner, scope, lambda one: truthy(without(one, Absent)))
            case nodes.Filter(name="length" | "count", node=nodes.Expr() as inner) if holds:
                return self._with(inner, scope, truthy)
        return self._with(test, scope, truthy if holds else _false)

    def _both(self, test: nodes.And, scope: Scope) -> Scope:
        return self.narrowed(test.right, self.narrowed(test.left, scope, holds=True), holds=True)

    def _neither(self, test: nodes.Or, scope: Scope) -> Scope:
        return self.narrowed(test.right, self.narrowed(test.left, scope, holds=False), holds=False)

    def _one(self, test: nodes.And | nodes.Or, scope: Scope, *, holds: bool) -> Scope:
        """Either the left one decides, or it does not and the right one does."""
        left = self.narrowed(test.left, scope, holds=holds)
        right = self.narrowed(test.right, self.narrowed(test.left, scope, holds=not holds), holds=holds)
        return joined([left, right])

    def _tested(self, test: nodes.Test, scope: Scope, *, holds: bool) -> Scope:
        if test.name in ("defined", "undefined"):
            there = holds is (test.name == "defined")
            return self._with(test.node, scope, _there if there else lambda _: ABSENT)
        if test.name in ("true", "false"):
            wanted = Boolean(test.name == "true")
            return self._with(test.node, scope, lambda _: wanted) if holds else scope
        if (kinds := KINDS.get(test.name)) is not None:
            if not holds:
                return self._with(test.node, scope, lambda one: without(one, *kinds)) if kinds == (Null,) else scope
            return self._with(test.node, scope, lambda one: _as(one, kinds))
        if test.name in ("eq", "equalto", "==", "in") and test.args and holds:
            value = _written(test.args[0])
            return scope if value is None else self._with(test.node, scope, lambda one: _equal(one, value))
        return scope

    def _compared(self, test: nodes.Compare, operand: nodes.Operand, scope: Scope, *, holds: bool) -> Scope:
        if operand.op in ("in", "notin") and isinstance(test.expr, nodes.Const) and isinstance(test.expr.value, str):
            if holds is (operand.op == "in") and (owner := path_of(operand.expr)) is not None:
                return self._having(operand.expr, (*owner, test.expr.value), scope)
            return scope
        asked, value = test.expr, _written(operand.expr)
        if value is None and operand.op in ("eq", "ne"):
            asked, value = operand.expr, _written(test.expr)
        if value is None:
            if holds and operand.op in ("gt", "gteq"):
                return self._counted(test.expr, operand, scope)
            return scope
        if operand.op in ("eq", "in") or operand.op in ("ne", "notin"):
            if holds is (operand.op in ("eq", "in")):
                return self._with(asked, scope, lambda one: _equal(one, value))
            return self._with(asked, scope, lambda one: _unequal(one, value))
        return self._counted(test.expr, operand, scope) if holds else scope

    def _counted(self, asked: nodes.Expr, operand: nodes.Operand, scope: Scope) -> Scope:
        """``items | length > 0``: it has an element."""
        match asked, operand:
            case (
                nodes.Filter(name="length" | "count", node=nodes.Expr() as inner),
                nodes.Operand(op="gt" | "gteq", expr=nodes.Const(value=int() as least)),
            ) if least > 0 or operand.op == "gt":
                return self._with(inner, scope, truthy)
        return scope

    def _having(self, node: nodes.Expr, path: Path, scope: Scope) -> Scope:
        """``'note' in data``."""
        name = path[-1]
        kinds = [
            member.fields.get(str(name), member.rest or ANYTHING)
            for member in members(self._value(node, scope))
            if isinstance(member, ObjectOf)
        ]
        return scope.knowing(path, _there(union(*kinds))) if kinds else scope

    def _with(self, node: nodes.Node, scope: Scope, narrow: Callable[[Type], Type]) -> Scope:
        path = path_of(node)
        if path is None:
            return scope
        before = self._value(node, scope)
        after = narrow(before)
        # Where nothing is left the branch is never run, and nothing need be said of what stands in it.
        return scope.knowing(path, ANYTHING if after == Union(()) else after)


def _there(one: Type) -> Type:
    return without(one, Absent)


def _false(one: Type) -> Type:
    return falsy(without(one, Absent))


def _as(one: Type, kinds: Iterable[type]) -> Type:
    wanted = tuple(kinds)
    if any(isinstance(member, Anything) for member in members(one)):
        known = [made for kind, made in _WIDEST.items() if kind in wanted]
        return union(*known) if known and wanted[0] is not Null else ANYTHING
    return only(one, *wanted)


_WIDEST: dict[type, Type] = {Text: Text(), Number: Number(), Boolean: Boolean()}


def _written(node: nodes.Expr) -> Type | None:
    """The values that are written out: one, or those of a list."""
    match node:
        case nodes.Const():
            return literal(node.value)
        case nodes.List() | nodes.Tuple() if node.items and all(isinstance(i, nodes.Const) for i in node.items):
            return union(*(literal(item.value) for item in node.items if isinstance(item, nodes.Const)))
    return None


def _equal(one: Type, value: Type) -> Type:
    kept: list[Type] = []
    for member in members(one):
        for other in members(value):
            match member, other:
                case Anything(), _:
                    kept.append(other)
                case Text(values=None), Text():
                    kept.append(other)
                case Text(values=frozenset() as known), Text(values=frozenset() as wanted):
                    kept += [Text(known & wanted)] if known & wanted else []
                case Null(), Null():
                    kept.append(member)
                case _ if type(member) is type(other):
                    kept.append(member)
    return union(*kept)


def _unequal(one: Type, value: Type) -> Type:
    kept: list[Type] = []
    for member in members(one):
        match member:
            case Null() if any(isinstance(other, Null) for other in members(value)):
                continue
            case Text(values=frozenset() as known):
                excluded = {v for m in members(value) if isinstance(m, Text) and m.values for v in m.values}
                kept += [Text(known - excluded)] if known - excluded else []
            case _:
                kept.append(member)
    return union(*kept)


def _falls_to_falsy(node: nodes.Filter) -> bool:
    if not node.args:
        return True
    return (isinstance(node.args[0], nodes.Const) and not node.args[0].value) or (
        isinstance(node.args[0], nodes.List) and not node.args[0].items
    )
