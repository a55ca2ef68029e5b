"""What an expression may give, and what it fails with for some event."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from jinja2 import nodes
from jinja2.visitor import NodeVisitor

from notifier.checks.findings import Code, Severity
from notifier.checks.narrowing import Narrowing
from notifier.checks.place import Place
from notifier.checks.scope import Scope, path_of, written
from notifier.checks.signatures import FILTERS, OBJECT_METHODS, TEXT_METHODS, Signature, element, is_filled
from notifier.checks.types import (
    ABSENT,
    ANYTHING,
    BOOLEAN,
    NEVER,
    NUMBER,
    SAMPLED,
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
    only,
    truthy,
    union,
    without,
)
from notifier.rendering.absent import nearest
from notifier.rendering.compiler import Kind

#: What an absent value does not matter to.
_FORGIVING = frozenset({"default", "d"})
#: `format` words of JSON Schema that are moments, and those that certainly are none.
_DATES = frozenset({"date", "date-time", "time"})
_OF_MOMENTS = frozenset({"date", "time", "datetime"})
#: Names that are always there, and hardly what was meant.
_NOT_OFFERED = frozenset({"super", "self", "range", "loop", "caller", "varargs", "kwargs"})
_DEFAULT_FIX = "ask with `is defined`, or give `| default('…')`, or require it in the schema"
_NULL_FIX = "test it with `if`, or give `| default('…', true)`"


class Expressions(NodeVisitor):
    """Looks at the expressions of one place."""

    def __init__(self, place: Place, kind: Kind = "text") -> None:
        self._place = place
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
        self._check_printable(node, found if self._kind == "json" else self._not_null(node, found))

    def _check_printable(self, node: nodes.Node, found: Type) -> None:
        for member in members(found):
            if isinstance(member, ListOf | Pair | ObjectOf | Function):
                fix = "loop over it, or use `join` or `tojson`"
                self._tell(Code.WRONG_TYPE, node, f"{written(node)} is {describe(member)} and cannot be printed", fix)

    def present(self, node: nodes.Node, scope: Scope) -> Type:
        """The value of an expression where an absent one fails."""
        found = self.value(node, scope)
        if may_be(found, Absent):
            self._tell_absent(node, found, scope)
        return without(found, Absent)

    def value(self, node: nodes.Node, scope: Scope) -> Type:
        """What an expression may give; `ABSENT` travels as in the sandbox, through ``set`` and into macros."""
        if (path := path_of(node)) is not None and path in scope.facts:
            return scope.facts[path]
        found: Type = self.visit(node, scope)
        return found

    def generic_visit(self, node: nodes.Node, scope: Scope) -> Type:
        """Arithmetic, and what gives nothing that is known."""
        if isinstance(node, nodes.BinExpr):
            return self._calculated(node, scope)
        if isinstance(node, nodes.UnaryExpr):
            return self._number(node.node, scope)
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

    def part(self, owner: Type, name: str, node: nodes.Expr) -> Type:
        """``owner.name``."""
        found = [self._part(member, name) for member in members(owner)]
        known = [one for one in found if one is not None]
        if not known and found:
            self._tell_unknown(owner, name, node)
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

    def visit_Getattr(self, node: nodes.Getattr, scope: Scope) -> Type:  # noqa: N802
        """``value.name``."""
        return self.part(self._owner(node.node, scope), node.attr, node)

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
            self._check_printable(part, self._not_null(part, self.present(part, scope)))
        return TEXT

    def _owner(self, node: nodes.Expr, scope: Scope) -> Type:
        return self._not_null(node, self.present(node, scope))

    def visit_Name(self, node: nodes.Name, scope: Scope) -> Type:  # noqa: N802
        """A name."""
        if node.name in scope.names:
            return scope.names[node.name]
        near = nearest(node.name, scope.names.keys() - _NOT_OFFERED)
        self._tell(Code.UNKNOWN_NAME, node, f"there is no {node.name!r} here{near}", "write a name that is there")
        return ANYTHING

    def visit_Getitem(self, node: nodes.Getitem, scope: Scope) -> Type:  # noqa: N802
        """``value[key]``."""
        owner = self._owner(node.node, scope)
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
        self._tell(Code.WRONG_TYPE, node, what, "a list has numbers, an object has names")
        return ANYTHING

    def visit_Filter(self, node: nodes.Filter, scope: Scope) -> Type:  # noqa: N802
        """``value | filter(…)``."""
        assert node.node is not None  # noqa: S101 - only inside of filter blocks, which give theirs
        if node.name in _FORGIVING:
            return self._defaulted(node, scope)
        signature = FILTERS.get(node.name)
        given = self.present(node.node, scope)
        for argument in (*node.args, *(pair.value for pair in node.kwargs)):
            self.present(argument, scope)
        if signature is None:
            return ANYTHING
        self._check_arguments(node, signature)
        given = self._fitting(node, given, signature)
        self._check_moment(node, given)
        self._check_money(node, scope)
        if node.name in ("map", "sum", "join"):
            return self._mapped(node, given)
        if node.name in ("select", "selectattr", "reject", "rejectattr"):
            return self._chosen_of(node, given)
        return signature.gives(given)

    def _defaulted(self, node: nodes.Filter, scope: Scope) -> Type:
        assert node.node is not None  # noqa: S101 - as in `_filtered`
        given = self.value(node.node, scope)
        otherwise = self.value(node.args[0], scope) if node.args else literal("")
        named = [pair for pair in node.kwargs if pair.key in ("falsy", "boolean")]
        also_falsy = len(node.args) > 1 or bool(named)
        if not may_be(given, Absent, Anything) and not also_falsy:
            what = f"{written(node.node)} is always there, so its default is never used"
            self._tell_needless(node, what, "leave the default out")
        kept = truthy(given) if also_falsy else without(given, Absent)
        return union(kept, otherwise)

    def _fitting(self, node: nodes.Filter, given: Type, signature: Signature) -> Type:
        """What the filter takes of what it is given; what it does not take is told."""
        assert node.node is not None  # noqa: S101 - as in `_filtered`
        if not signature.takes:
            return given
        if Null not in signature.takes:
            given = self._not_null(node.node, given)
        for member in members(given):
            if not isinstance(member, (*signature.takes, Anything)):
                what = f"{written(node.node)} is {describe(member)}, and `{node.name}` takes {_kinds(signature.takes)}"
                self._tell(Code.WRONG_TYPE, node, what, "use another filter, or another value")
        return only(given, *signature.takes)

    def _check_arguments(self, node: nodes.Filter, signature: Signature) -> None:
        if signature.more or node.dyn_args or node.dyn_kwargs:
            return
        names = {str(pair.key) for pair in node.kwargs}
        for name in sorted(names - set(signature.parameters)):
            fix = f"it takes {', '.join(signature.parameters)}" if signature.parameters else "it takes none"
            self._tell(Code.UNKNOWN_ARGUMENT, node, f"`{node.name}` takes no argument {name!r}", fix)
        if len(node.args) > len(signature.parameters):
            fix = f"it takes {', '.join(signature.parameters)}" if signature.parameters else "it takes none"
            self._tell(Code.UNKNOWN_ARGUMENT, node, f"`{node.name}` is given {counted(len(node.args))}", fix)
        lacking = [name for name in signature.parameters[len(node.args) : signature.required] if name not in names]
        if lacking:
            self._tell(Code.UNKNOWN_ARGUMENT, node, f"`{node.name}` lacks {', '.join(lacking)}", "give it")

    def _check_moment(self, node: nodes.Filter, given: Type) -> None:
        if node.name not in _OF_MOMENTS:
            return
        assert node.node is not None  # noqa: S101 - as in `_filtered`
        for member in members(given):
            if isinstance(member, Text) and not _may_be_moment(member):
                fix = 'give it "format": "date-time" (or "date") in the schema, if it is one'
                self._tell(Code.NO_DATE, node, f"nothing says that {written(node.node)} is a date", fix)

    def _check_money(self, node: nodes.Filter, scope: Scope) -> None:
        currency = node.args[0] if node.args else next((p.value for p in node.kwargs if p.key == "currency"), None)
        if node.name != "money":
            return
        assert node.node is not None  # noqa: S101 - as in `_filtered`
        if currency is None:
            what = f"{written(node.node)} is shown without its currency"
            self._tell(Code.NO_CURRENCY, node, what, "`| money(data.currency)`", severity=Severity.WARNING)
        elif not may_be(found := self._not_null(currency, self.value(currency, scope)), Text, Anything, Absent):
            what = f"{written(currency)} is {describe(found)}, and a currency is a code such as 'EUR'"
            self._tell(Code.NO_CURRENCY, currency, what, "give a text")

    def _mapped(self, node: nodes.Filter, given: Type) -> Type:
        """``map``, ``sum`` and ``join`` with an attribute look it up in each element."""
        named = {str(pair.key): pair.value for pair in node.kwargs}
        asked = named.get("attribute")
        found: Type = element(given) if node.name != "map" or asked is not None else ANYTHING
        if isinstance(asked, nodes.Const) and isinstance(asked.value, str) and asked.value:
            found = self._looked_up(node, found, asked.value)
        if node.name == "map":
            return ListOf(without(found, Absent) if "default" in named else found, filled=is_filled(given))
        if may_be(found, Absent):
            what = f"{written(asked) if asked is not None else 'an element'} may be absent in some of the elements"
            self._tell(Code.MAY_BE_ABSENT, node, what, "`map(attribute=…, default='…')` before")
        if node.name == "sum" and not may_be(found, Number, Anything) and members(found):
            self._tell(Code.WRONG_TYPE, node, f"`sum` adds numbers, and these are {describe(found)}", "name one")
        return NUMBER if node.name == "sum" else TEXT

    def _looked_up(self, node: nodes.Filter, found: Type, path: str) -> Type:
        for place, step in enumerate(path.split(".")):
            if may_be(found, Absent) and place:
                self._tell(Code.MAY_BE_ABSENT, node, f"{path!r} may be absent in some of the elements", _DEFAULT_FIX)
            found = ANYTHING if step.isdigit() else self.part(without(found, Absent, Null), step, node)
        return found

    def _chosen_of(self, node: nodes.Filter, given: Type) -> Type:
        """``select`` and ``selectattr``: what is left of the elements."""
        words = [argument.value for argument in node.args if isinstance(argument, nodes.Const)]
        kept = element(given)
        if node.name == "select" and words[:1] == ["defined"]:
            return ListOf(without(kept, Absent))
        if node.name in ("selectattr", "rejectattr") and words and isinstance(words[0], str):
            found = self._looked_up(node, kept, words[0])
            if may_be(found, Absent) and words[1:2] not in (["defined"], ["undefined"]):
                what = f"{words[0]!r} may be absent in some of the elements"
                self._tell(Code.MAY_BE_ABSENT, node, what, f"`selectattr({words[0]!r}, 'defined')` before")
            if (node.name, words[1:2]) in (("selectattr", ["defined"]), ("rejectattr", ["undefined"])):
                kept = union(*(_having(member, words[0]) for member in members(kept)))
        return ListOf(kept)

    def visit_Test(self, node: nodes.Test, scope: Scope) -> Type:  # noqa: N802
        """``value is test``."""
        if node.name in ("defined", "undefined"):
            found = self.value(node.node, scope)
            if not may_be(found, Absent, Anything):
                what = f"{written(node.node)} is always there, so `is {node.name}` always says the same"
                self._tell_needless(node, what, "leave the test out, or ask whether it is true or null")
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
            f"{self._place.file}:{self._place.first + node.lineno - 1}",
            lambda what, fix: self._tell(Code.UNKNOWN_ARGUMENT, node.node, what, fix),
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
            self._tell(Code.WRONG_TYPE, node.node, what, "leave the brackets out")
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
                    self._tell(Code.NOT_A_LIST, operand.expr, what, "`in` asks a list, a text or an object")
                if isinstance(member, Text) and (wrong := without(left, Text, Anything)) != NEVER:
                    what = f"{written(at)} is {describe(wrong)}, and {written(operand.expr)} is a text"
                    self._tell(Code.WRONG_TYPE, at, what, "only a text can be in a text")
                if isinstance(member, ObjectOf) and may_be(left, ListOf, Pair, ObjectOf):
                    what = f"{written(at)} is {describe(left)}, and {written(operand.expr)} is an object"
                    self._tell(Code.WRONG_TYPE, at, what, "only a name can be in an object")
            if isinstance(right, ListOf | Pair):
                self._check_equal(at, left, operand, element(right))
        elif operand.op in ("eq", "ne"):
            self._check_equal(at, left, operand, right)
        else:
            self._check_order(at, left, operand, right)

    def _check_order(self, at: nodes.Expr, left: Type, operand: nodes.Operand, right: Type) -> None:
        left, right = self._not_null(at, left), self._not_null(operand.expr, right)
        for one in members(left):
            for other in members(right):
                if not _is_ordered(one, other):
                    what = f"{written(at)} is {describe(one)} and {written(operand.expr)} is {describe(other)}"
                    self._tell(Code.WRONG_TYPE, at, f"{what}: neither is more than the other", "compare like with like")
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
            self._tell(Code.NEVER_EQUAL, at, f"{what}: {is_kind}{near}", "write a value that it can have")

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

    def _calculated(self, node: nodes.BinExpr, scope: Scope) -> Type:
        left = self._not_null(node.left, self.present(node.left, scope))
        right = self._not_null(node.right, self.present(node.right, scope))
        for one in members(left):
            for other in members(right):
                if not _can_calculate(node.operator, one, other):
                    what = f"{describe(one)} {node.operator} {describe(other)} means nothing"
                    fix = "`~` joins texts" if node.operator == "+" else "calculate with numbers"
                    self._tell(Code.WRONG_TYPE, node.left, f"{written(node.left)}: {what}", fix)
                    return ANYTHING
        if node.operator == "+" and may_be(left, Text, ListOf):
            return left if may_be(left, Text) else ListOf(union(element(left), element(right)))
        return Number(_is_whole(left) and _is_whole(right) and node.operator != "/")

    def _number(self, node: nodes.Expr, scope: Scope) -> Type:
        found = self._not_null(node, self.present(node, scope))
        for member in members(found):
            if not isinstance(member, Number | Anything):
                self._tell(
                    Code.WRONG_TYPE, node, f"{written(node)} is {describe(member)}, not a number", "use a number"
                )
        return NUMBER

    def _not_null(self, node: nodes.Node, found: Type) -> Type:
        if may_be(found, Null):
            self._tell(Code.MAY_BE_NULL, node, f"{written(node)} may be null", _NULL_FIX)
        return without(found, Null)

    def _tell_absent(self, node: nodes.Node, found: Type, scope: Scope) -> None:
        word = "is not there" if without(found, Absent) == NEVER else "may be absent"
        near = ""
        if isinstance(node, nodes.Getattr):
            known = [k for m in members(self.value(node.node, scope)) if isinstance(m, ObjectOf) for k in m.fields]
            near = nearest(node.attr, known) if known and node.attr not in known else ""
        self._tell(Code.MAY_BE_ABSENT, node, f"{written(node)} {word}{near}", _DEFAULT_FIX)

    def _tell_unknown(self, owner: Type, name: str, node: nodes.Expr) -> None:
        of = written(node.node) if isinstance(node, nodes.Getattr | nodes.Getitem) else "each element"
        known = [key for member in members(owner) if isinstance(member, ObjectOf) for key in member.fields]
        if not may_be(owner, ObjectOf):
            what = f"{of} is {describe(owner)} and has no {name!r}"
            self._tell(Code.UNKNOWN_NAME, node, what, "write what it has, or another value")
            return
        fix = "write the name as the data has it, or describe it in the schema"
        self._tell(Code.UNKNOWN_NAME, node, f"{of} has no {name!r}{nearest(name, known)}", fix)

    def _tell_needless(self, node: nodes.Expr, what: str, fix: str) -> None:
        if self._place.judges_guards:
            self._tell(Code.NEEDLESS_GUARD, node, what, fix, severity=Severity.WARNING)

    def _tell(self, code: Code, node: nodes.Node, what: str, fix: str, *, severity: Severity = Severity.ERROR) -> None:
        self._place.tell(code, node.lineno, what, fix, word=written(node, ""), severity=severity)


def _having(one: Type, name: str) -> Type:
    """An object in which a name is there."""
    if not isinstance(one, ObjectOf) or name not in one.fields:
        return one
    return ObjectOf.of({**one.fields, name: without(one.fields[name], Absent)}, one.rest)


def counted(arguments: int) -> str:
    """``2 arguments``."""
    return "1 argument" if arguments == 1 else f"{arguments} arguments"


def _kinds(kinds: Iterable[type]) -> str:
    words = {Text: "a text", Number: "a number", ListOf: "a list", ObjectOf: "an object", Boolean: "true or false"}
    return " or ".join(words[kind] for kind in kinds if kind in words)


def _may_be_moment(one: Text) -> bool:
    if one.values is not None:
        return all(_is_moment(value) for value in one.values)
    return one.format in _DATES or one.format == SAMPLED


def _is_moment(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


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
