"""What an expression may give, and what it fails with for some event."""

from __future__ import annotations

from jinja2 import nodes
from jinja2.visitor import NodeVisitor

from notifier.checks.comparing import Comparing
from notifier.checks.filtering import Filtering
from notifier.checks.findings import Code
from notifier.checks.narrowing import Narrowing
from notifier.checks.place import Place
from notifier.checks.scope import Scope, path_of, written
from notifier.checks.signatures import element
from notifier.checks.types import (
    ABSENT,
    ANYTHING,
    BOOLEAN,
    TEXT,
    Absent,
    Anything,
    Boolean,
    Call,
    Function,
    ListOf,
    Null,
    Number,
    ObjectOf,
    Pair,
    Text,
    Type,
    describe,
    literal,
    may_be,
    members,
    truthy,
    union,
)
from notifier.rendering.absent import nearest
from notifier.rendering.compiler import Kind

#: Names that are always there, and hardly what was meant.
_NOT_OFFERED = frozenset({"super", "self", "range", "loop", "caller", "varargs", "kwargs"})


class Expressions(Filtering, Comparing, NodeVisitor):
    """Looks at the expressions of one place."""

    def __init__(self, place: Place, kind: Kind = "text") -> None:
        self.place = place
        self._kind = kind
        self._narrowing = Narrowing(place, self.value)

    def narrowed(self, test: nodes.Node, scope: Scope, *, holds: bool) -> Scope:
        """What is known where a test holds, or does not."""
        return self._narrowing.narrowed(test, scope, holds=holds)

    def condition(self, node: nodes.Node, scope: Scope) -> Type:
        """A test's value. It must be there: asking whether an absent value is true fails."""
        return self.present(node, scope)

    def printed(self, node: nodes.Node, scope: Scope) -> None:
        """What ``{{ … }}`` shows."""
        found = self.present(node, scope)
        self.check_printable(node, found if self._kind == "json" else self.not_null(node, found))

    def value(self, node: nodes.Node, scope: Scope) -> Type:
        """See `Looking`."""
        if (path := path_of(node)) is not None and path in scope.facts:
            return scope.facts[path]
        found: Type = self.visit(node, scope)
        return found

    def generic_visit(self, node: nodes.Node, scope: Scope) -> Type:
        """Arithmetic, and what gives nothing that is known."""
        if isinstance(node, nodes.BinExpr):
            return self.calculated(node, scope)
        if isinstance(node, nodes.UnaryExpr):
            return self.number(node.node, scope)
        for child in node.iter_child_nodes():
            if isinstance(child, nodes.Expr):
                self.value(child, scope)
        return ANYTHING

    def visit_Const(self, node: nodes.Const, scope: Scope) -> Type:  # noqa: N802, ARG002
        """What is written out."""
        return literal(node.value)

    def visit_TemplateData(self, node: nodes.TemplateData, scope: Scope) -> Type:  # noqa: N802, ARG002
        """Text as it stands."""
        return TEXT

    def visit_Getattr(self, node: nodes.Getattr, scope: Scope) -> Type:  # noqa: N802
        """``value.name``."""
        return self.part(self.owner(node.node, scope), node.attr, node)

    def visit_Not(self, node: nodes.Not, scope: Scope) -> Type:  # noqa: N802
        """``not a``."""
        self.condition(node.node, scope)
        return BOOLEAN

    def visit_List(self, node: nodes.List, scope: Scope) -> Type:  # noqa: N802
        """``[a, b]``."""
        items = [self.value(item, scope) for item in node.items]
        return ListOf(union(*items) if items else ANYTHING, filled=bool(items))

    def visit_Tuple(self, node: nodes.Tuple, scope: Scope) -> Type:  # noqa: N802
        """``(a, b)``."""
        return Pair(tuple(self.value(item, scope) for item in node.items))

    def visit_Concat(self, node: nodes.Concat, scope: Scope) -> Type:  # noqa: N802
        """``a ~ b``."""
        for part in node.nodes:
            self.check_printable(part, self.not_null(part, self.present(part, scope)))
        return TEXT

    def visit_Name(self, node: nodes.Name, scope: Scope) -> Type:  # noqa: N802
        """A name."""
        if node.name in scope.names:
            return scope.names[node.name]
        near = nearest(node.name, scope.names.keys() - _NOT_OFFERED)
        self.tell(Code.UNKNOWN_NAME, node, f"there is no {node.name!r} here{near}", "write a name that is there")
        return ANYTHING

    def visit_Getitem(self, node: nodes.Getitem, scope: Scope) -> Type:  # noqa: N802
        """``value[key]``."""
        owner = self.owner(node.node, scope)
        if isinstance(node.arg, nodes.Slice):
            return union(*(m if isinstance(m, Text) else ListOf(element(m)) for m in members(owner)))
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            return self.part(owner, node.arg.value, node)
        key = self.present(node.arg, scope)
        return union(*(self._indexed(member, key, node) for member in members(owner)))

    def _indexed(self, owner: Type, key: Type, node: nodes.Getitem) -> Type:
        """``owner[key]`` for a key that is no written text."""
        place = node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, int) else None
        match owner:
            case Anything():
                return ANYTHING
            case ListOf() if not may_be(key, Text, Boolean, Null, ObjectOf, ListOf, Pair):
                return owner.item if place in (0, -1) and owner.filled else union(owner.item, ABSENT)
            case Pair() if place is not None:
                there = -len(owner.items) <= place < len(owner.items)
                return owner.items[place] if there else ABSENT
            case Text() if not may_be(key, Text, Boolean, Null, ObjectOf, ListOf, Pair):
                return union(TEXT, ABSENT)
            case ObjectOf() if not may_be(key, Number, Boolean, Null, ObjectOf, ListOf, Pair):
                return union(*owner.fields.values(), *([] if owner.rest is None else [owner.rest]), ABSENT)
        what = f"{written(node.node)} is {describe(owner)} and has no place {written(node.arg, describe(key))}"
        self.tell(Code.WRONG_TYPE, node, what, "a list has numbers, an object has names")
        return ANYTHING

    def visit_Test(self, node: nodes.Test, scope: Scope) -> Type:  # noqa: N802
        """``value is test``."""
        if node.name in ("defined", "undefined"):
            found = self.value(node.node, scope)
            if not may_be(found, Absent, Anything):
                what = f"{written(node.node)} is always there, so `is {node.name}` always says the same"
                self.tell_needless(node, what, "leave the test out, or ask whether it is true or null")
            return BOOLEAN
        self.present(node.node, scope)
        for argument in node.args:
            self.present(argument, scope)
        return BOOLEAN

    def called(self, node: nodes.Call, scope: Scope, caller: Type | None = None) -> Type:
        """What a call gives; ``caller`` is what a ``call`` block hands over."""
        function = self.present(node.node, scope)
        call = Call(
            node.lineno,
            tuple(self.value(argument, scope) for argument in node.args),
            {pair.key: self.value(pair.value, scope) for pair in node.kwargs},
            caller,
            f"{self.place.file}:{self.place.first + node.lineno - 1}",
            lambda what, fix: self.tell(Code.UNKNOWN_ARGUMENT, node.node, what, fix),
        )
        return union(*(self._result(member, call, node) for member in members(function)))

    def visit_Call(self, node: nodes.Call, scope: Scope) -> Type:  # noqa: N802
        """``value(…)``."""
        return self.called(node, scope)

    def _result(self, function: Type, call: Call, node: nodes.Call) -> Type:
        if isinstance(function, Function):
            return function.run(call) if function.run else function.gives
        if not isinstance(function, Anything):
            what = f"{written(node.node)} is {describe(function)} and cannot be called"
            self.tell(Code.WRONG_TYPE, node.node, what, "leave the brackets out")
        return ANYTHING

    def visit_CondExpr(self, node: nodes.CondExpr, scope: Scope) -> Type:  # noqa: N802
        """``a if test else b``."""
        self.condition(node.test, scope)
        first = self.value(node.expr1, self.narrowed(node.test, scope, holds=True))
        if node.expr2 is None:
            return union(first, literal(""))  # Jinja's own, which is shown as nothing
        return union(first, self.value(node.expr2, self.narrowed(node.test, scope, holds=False)))

    def visit_And(self, node: nodes.And, scope: Scope) -> Type:  # noqa: N802
        """``a and b``."""
        return self._either(node, scope)

    def visit_Or(self, node: nodes.Or, scope: Scope) -> Type:  # noqa: N802
        """``a or b``."""
        return self._either(node, scope)

    def _either(self, node: nodes.And | nodes.Or, scope: Scope) -> Type:
        is_and = isinstance(node, nodes.And)
        left = self.condition(node.left, scope)
        right = self.value(node.right, self.narrowed(node.left, scope, holds=is_and))
        return union(right, left if is_and else truthy(left))

    def visit_Dict(self, node: nodes.Dict, scope: Scope) -> Type:  # noqa: N802
        """``{key: value}``."""
        fields: dict[str, Type] = {}
        rest: Type | None = None
        for pair in node.items:
            value = self.value(pair.value, scope)
            if isinstance(pair.key, nodes.Const) and isinstance(pair.key.value, str):
                fields[pair.key.value] = value
            else:
                self.present(pair.key, scope)
                rest = union(value, ABSENT)
        return ObjectOf.of(fields, rest)
