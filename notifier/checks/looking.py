"""What every look at an expression shares: the parts of a value, and how what is wrong is told."""

from __future__ import annotations

from abc import abstractmethod

from jinja2 import nodes

from notifier.checks.findings import Code, Severity
from notifier.checks.place import Place
from notifier.checks.scope import Scope, written
from notifier.checks.signatures import OBJECT_METHODS, TEXT_METHODS
from notifier.checks.types import (
    ABSENT,
    ANYTHING,
    NEVER,
    Absent,
    Anything,
    Function,
    ListOf,
    Null,
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

DEFAULT_FIX = "ask with `is defined`, or give `| default('…')`, or require it in the schema"
NULL_FIX = "test it with `if`, or give `| default('…', true)`"


class Looking:
    """The base of `expressions.Expressions`; ``value`` is its own."""

    place: Place

    @abstractmethod
    def value(self, node: nodes.Node, scope: Scope) -> Type:
        """What an expression may give; `ABSENT` travels as in the sandbox, through ``set`` and into macros."""

    def present(self, node: nodes.Node, scope: Scope) -> Type:
        """The value of an expression where an absent one fails."""
        found = self.value(node, scope)
        if may_be(found, Absent):
            self.tell_absent(node, found, scope)
        return without(found, Absent)

    def part(self, owner: Type, name: str, node: nodes.Expr) -> Type:
        """``owner.name``."""
        found = [self._part(member, name) for member in members(owner)]
        known = [one for one in found if one is not None]
        if not known and found:
            self.tell_unknown(owner, name, node)
            return ANYTHING
        # In some of the shapes that it may have, and not in the others.
        return union(*known, *([ABSENT] if len(known) < len(found) else []))

    def _part(self, owner: Type, name: str) -> Type | None:
        match owner:
            case Anything():
                return ANYTHING
            case ObjectOf():
                if name in owner.fields:
                    return owner.fields[name]
                if (method := OBJECT_METHODS.get(name)) is not None:
                    return Function(name, method(owner))
                return owner.rest
            case Text() if name in TEXT_METHODS:
                return Function(name, TEXT_METHODS[name])
        return None

    def owner(self, node: nodes.Expr, scope: Scope) -> Type:
        """What stands before a dot: there, and not null."""
        return self.not_null(node, self.present(node, scope))

    def check_printable(self, node: nodes.Node, found: Type) -> None:
        """Lists and objects have no text."""
        for member in members(found):
            if isinstance(member, ListOf | Pair | ObjectOf | Function):
                fix = "loop over it, or use `join` or `tojson`"
                self.tell(Code.WRONG_TYPE, node, f"{written(node)} is {describe(member)} and cannot be printed", fix)

    def not_null(self, node: nodes.Node, found: Type) -> Type:
        """The same without null, which is told."""
        if may_be(found, Null):
            self.tell(Code.MAY_BE_NULL, node, f"{written(node)} may be null", NULL_FIX)
        return without(found, Null)

    def tell_absent(self, node: nodes.Node, found: Type, scope: Scope) -> None:
        """It need not be there, and is used as if it were."""
        word = "is not there" if without(found, Absent) == NEVER else "may be absent"
        near = ""
        if isinstance(node, nodes.Getattr):
            known = [k for m in members(self.value(node.node, scope)) if isinstance(m, ObjectOf) for k in m.fields]
            near = nearest(node.attr, known) if known and node.attr not in known else ""
        self.tell(Code.MAY_BE_ABSENT, node, f"{written(node)} {word}{near}", DEFAULT_FIX)

    def tell_unknown(self, owner: Type, name: str, node: nodes.Expr) -> None:
        """Nothing of what it may be has such a name."""
        of = written(node.node) if isinstance(node, nodes.Getattr | nodes.Getitem) else "each element"
        known = [key for member in members(owner) if isinstance(member, ObjectOf) for key in member.fields]
        if not may_be(owner, ObjectOf):
            what = f"{of} is {describe(owner)} and has no {name!r}"
            self.tell(Code.UNKNOWN_NAME, node, what, "write what it has, or another value")
            return
        fix = "write the name as the data has it, or describe it in the schema"
        self.tell(Code.UNKNOWN_NAME, node, f"{of} has no {name!r}{nearest(name, known)}", fix)

    def tell_needless(self, node: nodes.Expr, what: str, fix: str) -> None:
        """A guard that nothing needs."""
        if self.place.judges_guards:
            self.tell(Code.NEEDLESS_GUARD, node, what, fix, severity=Severity.WARNING)

    def tell(self, code: Code, node: nodes.Node, what: str, fix: str, *, severity: Severity = Severity.ERROR) -> None:
        """What is wrong with an expression, at its place."""
        self.place.tell(code, node.lineno, what, fix, word=written(node, ""), severity=severity)
