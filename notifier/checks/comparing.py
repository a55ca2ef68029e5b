"""Comparisons and arithmetic: which kinds of value can be equal, more than each other, or calculated with."""

from __future__ import annotations

from jinja2 import nodes

from notifier.checks.findings import Code
from notifier.checks.looking import Looking
from notifier.checks.scope import Scope, written
from notifier.checks.signatures import element
from notifier.checks.types import (
    ANYTHING,
    BOOLEAN,
    NEVER,
    NUMBER,
    Anything,
    Boolean,
    ListOf,
    Null,
    Number,
    ObjectOf,
    Pair,
    Text,
    Type,
    describe,
    may_be,
    members,
    union,
    without,
)
from notifier.rendering.absent import nearest


class Comparing(Looking):
    """The looks at ``a < b`` and ``a + b``."""

    def visit_Compare(self, node: nodes.Compare, scope: Scope) -> Type:  # noqa: N802
        """``a < b``."""
        left, at = self.present(node.expr, scope), node.expr
        for operand in node.ops:
            right = self.present(operand.expr, scope)
            self._check_comparison(at, left, operand, right)
            left, at = right, operand.expr
        return BOOLEAN

    def _check_comparison(self, at: nodes.Expr, left: Type, operand: nodes.Operand, right: Type) -> None:
        if operand.op in ("in", "notin"):
            for member in members(right):
                if isinstance(member, Number | Boolean | Null):
                    what = f"{written(operand.expr)} is {describe(member)} and has nothing in it"
                    self.tell(Code.NOT_A_LIST, operand.expr, what, "`in` asks a list, a text or an object")
                if isinstance(member, Text) and (wrong := without(left, Text, Anything)) != NEVER:
                    what = f"{written(at)} is {describe(wrong)}, and {written(operand.expr)} is a text"
                    self.tell(Code.WRONG_TYPE, at, what, "only a text can be in a text")
                if isinstance(member, ObjectOf) and may_be(left, ListOf, Pair, ObjectOf):
                    what = f"{written(at)} is {describe(left)}, and {written(operand.expr)} is an object"
                    self.tell(Code.WRONG_TYPE, at, what, "only a name can be in an object")
            if isinstance(right, ListOf | Pair):
                self._check_equal(at, left, operand, element(right))
        elif operand.op in ("eq", "ne"):
            self._check_equal(at, left, operand, right)
        else:
            self._check_order(at, left, operand, right)

    def _check_order(self, at: nodes.Expr, left: Type, operand: nodes.Operand, right: Type) -> None:
        left, right = self.not_null(at, left), self.not_null(operand.expr, right)
        for one in members(left):
            for other in members(right):
                if not _is_ordered(one, other):
                    what = f"{written(at)} is {describe(one)} and {written(operand.expr)} is {describe(other)}"
                    self.tell(Code.WRONG_TYPE, at, f"{what}: neither is more than the other", "compare like with like")
                    return

    def _check_equal(self, at: nodes.Expr, left: Type, operand: nodes.Operand, right: Type) -> None:
        if not members(left) or not members(right):
            return
        if not any(_can_equal(one, other) for one in members(left) for other in members(right)):
            value, known = (right, left) if not isinstance(at, nodes.Const) else (left, right)
            word = next((str(v) for m in members(value) if isinstance(m, Text) and m.values for v in m.values), "")
            names = [v for m in members(known) if isinstance(m, Text) and m.values for v in sorted(m.values)]
            what = f"{written(at)} is never equal to {written(operand.expr)}"
            is_kind = f"it is {describe(known)}" if not names else "by its schema it is none of its values"
            near = nearest(word, names) if names else ""
            self.tell(Code.NEVER_EQUAL, at, f"{what}: {is_kind}{near}", "write a value that it can have")

    def calculated(self, node: nodes.BinExpr, scope: Scope) -> Type:
        """``a + b``."""
        left = self.not_null(node.left, self.present(node.left, scope))
        right = self.not_null(node.right, self.present(node.right, scope))
        for one in members(left):
            for other in members(right):
                if not _can_calculate(node.operator, one, other):
                    what = f"{describe(one)} {node.operator} {describe(other)} means nothing"
                    fix = "`~` joins texts" if node.operator == "+" else "calculate with numbers"
                    self.tell(Code.WRONG_TYPE, node.left, f"{written(node.left)}: {what}", fix)
                    return ANYTHING
        if node.operator == "+" and may_be(left, Text, ListOf):
            return left if may_be(left, Text) else ListOf(union(element(left), element(right)))
        return Number(_is_whole(left) and _is_whole(right) and node.operator != "/")

    def number(self, node: nodes.Expr, scope: Scope) -> Type:
        """``-a``."""
        found = self.not_null(node, self.present(node, scope))
        for member in members(found):
            if not isinstance(member, Number | Anything):
                self.tell(Code.WRONG_TYPE, node, f"{written(node)} is {describe(member)}, not a number", "use a number")
        return NUMBER


def _is_whole(one: Type) -> bool:
    return all(isinstance(member, Number) and member.whole for member in members(one))


def _is_ordered(one: Type, other: Type) -> bool:
    if isinstance(one, Anything) or isinstance(other, Anything):
        return True
    numbers = (Number, Boolean)
    return (isinstance(one, numbers) and isinstance(other, numbers)) or (
        type(one) is type(other) and isinstance(one, Text | ListOf | Pair)
    )


def _can_equal(one: Type, other: Type) -> bool:
    match one, other:
        case (Anything(), _) | (_, Anything()):
            return True
        case Text(), Text():
            return one.values is None or other.values is None or bool(one.values & other.values)
        case Number(), Number():
            return one.values is None or other.values is None or bool(one.values & other.values)
        case Boolean(), Boolean():
            return one.value is None or other.value is None or one.value == other.value
        case (Number(), Boolean()) | (Boolean(), Number()):
            return True
        case (ListOf() | Pair(), ListOf() | Pair()):
            return True
    return type(one) is type(other)


def _can_calculate(operator: str, one: Type, other: Type) -> bool:
    if isinstance(one, Anything) or isinstance(other, Anything):
        return True
    if isinstance(one, Number | Boolean) and isinstance(other, Number | Boolean):
        return True
    if operator == "+":
        return (isinstance(one, Text) and isinstance(other, Text)) or (
            isinstance(one, ListOf | Pair) and isinstance(other, ListOf | Pair)
        )
    return operator == "*" and isinstance(one, Text) and isinstance(other, Number)
