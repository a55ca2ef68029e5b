"""Follows a template as it would run: through layout, blocks, includes and macros, with what each place may meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from jinja2 import nodes
from jinja2.visitor import NodeVisitor

from notifier.checks.expressions import Expressions
from notifier.checks.filtering import counted
from notifier.checks.findings import Code
from notifier.checks.place import Place
from notifier.checks.scope import Scope, joined, written
from notifier.checks.signatures import element
from notifier.checks.types import (
    ABSENT,
    ANYTHING,
    BOOLEAN,
    TEXT,
    Absent,
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
    may_be,
    members,
    union,
    without,
)
from notifier.rendering.absent import nearest
from notifier.rendering.compiler import Kind, kind_of

#: How deep templates may include, extend and call each other here; deeper, nothing is said.
_DEEPEST = 24
_NUMBER = Number(whole=True)


class Shelf(Protocol):
    """Where templates are read from."""

    def tree(self, name: str) -> nodes.Template | None:
        """The tree of a template by its name; None when there is none."""

    def place(self, name: str) -> Place:
        """Where what is wrong in it is told."""


@dataclass(slots=True)
class _Run:
    """One message that is made: what its templates share."""

    main: str
    """The template that was asked for: the only one whose author is told of guards that are not needed."""
    blocks: dict[str, list[tuple[str, nodes.Block]]] = field(default_factory=dict)
    """Block → (template, block), the most derived first."""
    used: set[str] = field(default_factory=set)
    """Blocks that were met where they are shown."""
    seen: set[object] = field(default_factory=set)
    """Macros with the types they were called with, whose bodies were looked at."""
    depth: int = 0


class TemplateFlow:
    """Looks at one template of a message and at all it uses."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def look_at(self, name: str, names: Mapping[str, Type], why: str = "") -> None:
        """Tell what is wrong when it is rendered with these names."""
        tree = self._shelf.tree(name)
        if tree is None:
            return
        place = self._shelf.place(name)
        _Body(self._shelf, _Run(name), name, place, why).whole(tree, Scope({**_GLOBALS, **names}))


_GLOBALS: Mapping[str, Type] = {"range": Function("range", ListOf(_NUMBER))}


class _Body(NodeVisitor):
    """The statements of one template, in one run."""

    def __init__(self, shelf: Shelf, run: _Run, name: str, place: Place, why: str) -> None:
        self._shelf = shelf
        self._run = run
        self._name = name
        self._place = place
        self._why = why
        self._kind: Kind = kind_of(name)
        self._expressions = Expressions(place, self._kind)

    def whole(self, tree: nodes.Template, scope: Scope) -> Scope:
        """All of a template: its own statements, then those of its layout."""
        for block in tree.find_all(nodes.Block):
            self._run.blocks.setdefault(block.name, []).append((self._name, block))
        layout = next((node for node in tree.body if isinstance(node, nodes.Extends)), None)
        if layout is None:
            return self.statements(tree.body, scope)
        # What stands outside of blocks is run for what it sets, imports and defines.
        kept = [node for node in tree.body if not isinstance(node, nodes.Output | nodes.Block | nodes.Extends)]
        scope = self.statements(kept, scope)
        if (other := self._other(layout.template)) is not None:
            body, parent = other
            scope = body.whole(parent, scope)
            self._check_blocks(tree)
        return scope

    def _check_blocks(self, tree: nodes.Template) -> None:
        """Blocks that no layout has are never shown."""
        used = self._run.used
        for block in (node for node in tree.body if isinstance(node, nodes.Block)):
            if block.name not in used:
                what = f"no layout has a block {block.name!r}, so it is never shown{nearest(block.name, used)}"
                self._place.tell(Code.UNUSED, block.lineno, what, "write the name of a block it has", word=block.name)

    def statements(self, body: Iterable[nodes.Node], scope: Scope) -> Scope:
        """One after another; what they set is there for the next."""
        for node in body:
            scope = self.visit(node, scope)
        return scope

    def generic_visit(self, node: nodes.Node, scope: Scope) -> Scope:  # noqa: ARG002
        """What changes nothing."""
        return scope

    def visit_Output(self, node: nodes.Output, scope: Scope) -> Scope:  # noqa: N802
        """Text and ``{{ … }}``."""
        for part in node.nodes:
            if not isinstance(part, nodes.TemplateData):
                self._expressions.printed(part, scope)
        return scope

    def visit_If(self, node: nodes.If, scope: Scope) -> Scope:  # noqa: N802
        """Each branch with what its test tells."""
        ends: list[Scope] = []
        branches = [node, *node.elif_]
        for branch in branches:
            self._expressions.condition(branch.test, scope)
            ends.append(self.statements(branch.body, self._expressions.narrowed(branch.test, scope, holds=True)))
            scope = self._expressions.narrowed(branch.test, scope, holds=False)
        ends.append(self.statements(node.else_, scope))
        return joined(ends)

    def visit_For(self, node: nodes.For, scope: Scope) -> Scope:  # noqa: N802
        """The body once, for any element."""
        looped = self._looped(node.iter, scope)
        inner = self._targets(node.target, element(looped), scope)
        if node.test is not None:
            self._expressions.condition(node.test, inner)
            inner = self._expressions.narrowed(node.test, inner, holds=True)
        self.statements(node.body, inner.having("loop", _loop(element(looped))))
        self.statements(node.else_, scope)
        return scope

    def _looped(self, node: nodes.Node, scope: Scope) -> Type:
        found = self._expressions.present(node, scope)
        for member in members(found):
            if isinstance(member, Null | Boolean | Number | Text | Function):
                what = f"{written(node)} is {describe(member)}, and a loop needs a list"
                fix = "loop over a list" if not isinstance(member, Null) else "test it with `if` before"
                code = Code.MAY_BE_NULL if isinstance(member, Null) else Code.NOT_A_LIST
                self._place.tell(code, node.lineno, what, fix, word=written(node, ""))
        return without(found, Null, Boolean, Number, Function)

    def _targets(self, target: nodes.Node, value: Type, scope: Scope) -> Scope:
        if isinstance(target, nodes.Name):
            return scope.having(target.name, value)
        if isinstance(target, nodes.Tuple):
            for place, one in enumerate(target.items):
                scope = self._targets(one, _at(value, place), scope)
        return scope

    def visit_Assign(self, node: nodes.Assign, scope: Scope) -> Scope:  # noqa: N802
        """``{% set a = … %}``."""
        return self._targets(node.target, self._expressions.value(node.node, scope), scope)

    def visit_AssignBlock(self, node: nodes.AssignBlock, scope: Scope) -> Scope:  # noqa: N802
        """``{% set a %}…{% endset %}``."""
        self.statements(node.body, scope)
        return self._targets(node.target, TEXT, scope)

    def visit_With(self, node: nodes.With, scope: Scope) -> Scope:  # noqa: N802
        """``{% with a = … %}``."""
        inner = scope
        for target, value in zip(node.targets, node.values, strict=True):
            inner = self._targets(target, self._expressions.value(value, scope), inner)
        return self.statements(node.body, inner).below(scope)

    def visit_FilterBlock(self, node: nodes.FilterBlock, scope: Scope) -> Scope:  # noqa: N802
        """``{% filter … %}``."""
        self.statements(node.body, scope)
        return scope

    def visit_Macro(self, node: nodes.Macro, scope: Scope) -> Scope:  # noqa: N802
        """Looked at where it is called."""
        # A macro sees the names of its template as they are when it is called, which is after they are set.
        there: list[Scope] = [scope]
        made = scope.having(node.name, Function(node.name, TEXT, lambda call: self._run_macro(node, there[0], call)))
        there[0] = made
        return made

    def _run_macro(self, node: nodes.Macro, scope: Scope, call: Call) -> Type:
        _check_call(node, call)
        names = self._arguments(node, scope, call)
        key = (self._name, node.name, node.lineno, tuple(sorted((n, _mark(kind)) for n, kind in names.items())))
        if key in self._run.seen or self._run.depth > _DEEPEST:
            return TEXT
        self._run.seen.add(key)
        self._run.depth += 1
        inner = scope
        for name, kind in names.items():
            inner = inner.having(name, kind)
        place = self._place.shared(f"called in {call.where}")
        body = _Body(self._shelf, self._run, self._name, place, self._why)
        body.statements(node.body, inner)
        self._run.depth -= 1
        return TEXT

    def _arguments(self, node: nodes.Macro, scope: Scope, call: Call) -> dict[str, Type]:
        parameters = [argument.name for argument in node.args]
        defaults = dict(zip(parameters[len(parameters) - len(node.defaults) :], node.defaults, strict=True))
        given = dict(zip(parameters, call.arguments, strict=False))
        given |= {name: kind for name, kind in call.named.items() if name in parameters}
        found: dict[str, Type] = {}
        for name in parameters:
            kind = given.get(name)
            if name in defaults:
                found[name] = _given(kind, self._expressions.value(defaults[name], scope))
            elif kind is None:
                # That it is needed was told of the call.
                found[name] = ABSENT if name in _asked_in(node) else ANYTHING
            else:
                found[name] = _like(kind)
        found["caller"] = Function("caller", call.caller) if call.caller is not None else ABSENT
        found["varargs"], found["kwargs"] = ListOf(ANYTHING), ObjectOf.of({}, union(ANYTHING, ABSENT))
        return found

    def visit_CallBlock(self, node: nodes.CallBlock, scope: Scope) -> Scope:  # noqa: N802
        """``{% call macro() %}``."""
        inner = scope
        for argument in node.args:
            inner = inner.having(argument.name, ANYTHING)
        self.statements(node.body, inner)
        self._expressions.called(node.call, scope, TEXT)
        return scope

    def visit_Block(self, node: nodes.Block, scope: Scope) -> Scope:  # noqa: N802
        """Its most derived version."""
        self._run.used.add(node.name)
        self._version(self._run.blocks[node.name], 0, scope)
        return scope

    def _version(self, versions: list[tuple[str, nodes.Block]], place: int, scope: Scope) -> None:
        name, block = versions[place]

        def parent(_: Call) -> Type:
            if place + 1 < len(versions) and self._run.depth <= _DEEPEST:
                self._run.depth += 1
                self._version(versions, place + 1, scope)
                self._run.depth -= 1
            return TEXT

        body = _Body(self._shelf, self._run, name, self._as_user(name), self._why)
        blocks = ObjectOf.of({}, Function("block", TEXT))
        body.statements(block.body, scope.having("super", Function("super", TEXT, parent)).having("self", blocks))

    def visit_Include(self, node: nodes.Include, scope: Scope) -> Scope:  # noqa: N802
        """The other template as a whole."""
        if (other := self._other(node.template, fresh=True)) is not None:
            body, tree = other
            body.whole(tree, scope if node.with_context else Scope(_GLOBALS))
        return scope

    def visit_Import(self, node: nodes.Import, scope: Scope) -> Scope:  # noqa: N802
        """``{% import … as a %}``."""
        exported = self._exported(node.template, scope if node.with_context else Scope(_GLOBALS))
        return scope.having(node.target, ANYTHING if exported is None else ObjectOf.of(exported))

    def visit_FromImport(self, node: nodes.FromImport, scope: Scope) -> Scope:  # noqa: N802
        """``{% from … import a %}``."""
        exported = self._exported(node.template, scope if node.with_context else Scope(_GLOBALS))
        for one in node.names:
            name, alias = (one, one) if isinstance(one, str) else one
            kind = ANYTHING if exported is None else exported.get(name)
            if kind is None:
                what = f"{written(node.template)} has no {name!r}{nearest(name, exported or ())}"
                self._place.tell(Code.UNKNOWN_NAME, node.lineno, what, "write a macro it has", word=name)
            scope = scope.having(alias, kind or ANYTHING)
        return scope

    def _exported(self, template: nodes.Expr, scope: Scope) -> Mapping[str, Type] | None:
        other = self._other(template)
        if other is None:
            return None
        body, tree = other
        after = body.statements([node for node in tree.body if not isinstance(node, nodes.Output)], scope)
        return {name: kind for name, kind in after.names.items() if kind is not scope.names.get(name)}

    def _other(self, template: nodes.Expr, *, fresh: bool = False) -> tuple[_Body, nodes.Template] | None:
        """Another template; ``fresh``: with blocks of its own."""
        if not isinstance(template, nodes.Const) or self._run.depth > _DEEPEST:
            return None
        name = str(template.value)
        tree = self._shelf.tree(name)
        if tree is None:
            return None
        run = _Run(self._run.main, seen=self._run.seen, depth=self._run.depth + 1) if fresh else self._run
        return _Body(self._shelf, run, name, self._as_user(name), self._why), tree

    def _as_user(self, name: str) -> Place:
        place = self._shelf.place(name)
        return place if name == self._run.main else place.shared(self._why)


def _check_call(node: nodes.Macro, call: Call) -> None:
    """Arguments that the macro does not take, and does not ask for by ``varargs`` and ``kwargs``."""
    parameters = [argument.name for argument in node.args]
    asked = _names_in(node)
    fix = f"it takes {', '.join(parameters)}" if parameters else "it takes none"
    if len(call.arguments) > len(parameters) and "varargs" not in asked:
        call.tell(f"{node.name}() is given {counted(len(call.arguments))}", fix)
    if "kwargs" not in asked:
        for name in sorted(call.named.keys() - set(parameters)):
            call.tell(f"{node.name}() takes no argument {name!r}{nearest(name, parameters)}", fix)
    needed = parameters[len(call.arguments) : len(parameters) - len(node.defaults)]
    if lacking := [name for name in needed if name not in call.named and name not in _asked_in(node)]:
        call.tell(f"{node.name}() is not given {', '.join(lacking)}", fix)


@lru_cache(maxsize=4096)
def _names_in(node: nodes.Macro) -> frozenset[str]:
    return frozenset(name.name for name in node.find_all(nodes.Name))


@lru_cache(maxsize=4096)
def _asked_in(node: nodes.Macro) -> frozenset[str]:
    """Arguments of which the macro looks whether they are given."""
    tests = ("defined", "undefined")
    asked = [t.node for t in node.find_all(nodes.Test) if t.name in tests]
    asked += [f.node for f in node.find_all(nodes.Filter) if f.name in ("default", "d") and f.node is not None]
    return frozenset(one.name for one in asked if isinstance(one, nodes.Name))


def _given(kind: Type | None, default: Type) -> Type:
    """An argument that is not given, or is absent, has its default; what is written out stands for others like it."""
    if kind is None:
        return _like(default)
    return union(_like(without(kind, Absent)), _like(default)) if may_be(kind, Absent) else _like(kind)


def _like(kind: Type) -> Type:
    """The type of all values of the kind of one that is written out."""
    match kind:
        case Text(values=frozenset() as texts) if len(texts) == 1:
            return TEXT
        case Number(values=frozenset()):
            return Number(kind.whole)
        case Boolean():
            return BOOLEAN
    return kind


def _at(value: Type, place: int) -> Type:
    kinds: list[Type] = []
    for member in members(value):
        match member:
            case Pair() if place < len(member.items):
                kinds.append(member.items[place])
            case ListOf():
                kinds.append(member.item)
            case _:
                kinds.append(ANYTHING)
    return union(*kinds) if kinds else ANYTHING


def _mark(kind: Type) -> str:
    """The same for types that are the same."""
    by_identity = (ObjectOf, ListOf, Function)
    return " ".join(sorted(f"{type(m).__name__} {id(m) if isinstance(m, by_identity) else m}" for m in members(kind)))


def _loop(item: Type) -> Type:
    number = dict.fromkeys(("index", "index0", "revindex", "revindex0", "length", "depth", "depth0"), _NUMBER)
    return ObjectOf.of(
        {
            **number,
            "first": BOOLEAN,
            "last": BOOLEAN,
            "previtem": union(item, ABSENT),
            "nextitem": union(item, ABSENT),
            "cycle": Function("cycle", ANYTHING),
        }
    )
