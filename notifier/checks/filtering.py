"""Filters: what they take, what they give, and what is asked of their arguments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from jinja2 import nodes

from notifier.checks.findings import Code, Severity
from notifier.checks.looking import DEFAULT_FIX, Looking
from notifier.checks.scope import Scope, written
from notifier.checks.signatures import FILTERS, Signature, element, is_filled
from notifier.checks.types import (
    ANYTHING,
    NUMBER,
    SAMPLED,
    TEXT,
    Absent,
    Anything,
    Boolean,
    ListOf,
    Null,
    Number,
    ObjectOf,
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

#: What an absent value does not matter to.
_FORGIVING = frozenset({"default", "d"})
#: `format` words of JSON Schema that are moments, and those that certainly are none.
_DATES = frozenset({"date", "date-time", "time"})
_OF_MOMENTS = frozenset({"date", "time", "datetime"})


class Filtering(Looking):
    """The looks at ``value | filter(…)``."""

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
            self.tell_needless(node, what, "leave the default out")
        kept = truthy(given) if also_falsy else without(given, Absent)
        return union(kept, otherwise)

    def _fitting(self, node: nodes.Filter, given: Type, signature: Signature) -> Type:
        """What the filter takes of what it is given; what it does not take is told."""
        assert node.node is not None  # noqa: S101 - as in `_filtered`
        if not signature.takes:
            return given
        if Null not in signature.takes:
            given = self.not_null(node.node, given)
        for member in members(given):
            if not isinstance(member, (*signature.takes, Anything)):
                what = f"{written(node.node)} is {describe(member)}, and `{node.name}` takes {_kinds(signature.takes)}"
                self.tell(Code.WRONG_TYPE, node, what, "use another filter, or another value")
        return only(given, *signature.takes)

    def _check_arguments(self, node: nodes.Filter, signature: Signature) -> None:
        if signature.more or node.dyn_args or node.dyn_kwargs:
            return
        names = {str(pair.key) for pair in node.kwargs}
        for name in sorted(names - set(signature.parameters)):
            fix = f"it takes {', '.join(signature.parameters)}" if signature.parameters else "it takes none"
            self.tell(Code.UNKNOWN_ARGUMENT, node, f"`{node.name}` takes no argument {name!r}", fix)
        if len(node.args) > len(signature.parameters):
            fix = f"it takes {', '.join(signature.parameters)}" if signature.parameters else "it takes none"
            self.tell(Code.UNKNOWN_ARGUMENT, node, f"`{node.name}` is given {counted(len(node.args))}", fix)
        lacking = [name for name in signature.parameters[len(node.args) : signature.required] if name not in names]
        if lacking:
            self.tell(Code.UNKNOWN_ARGUMENT, node, f"`{node.name}` lacks {', '.join(lacking)}", "give it")

    def _check_moment(self, node: nodes.Filter, given: Type) -> None:
        if node.name not in _OF_MOMENTS:
            return
        assert node.node is not None  # noqa: S101 - as in `_filtered`
        for member in members(given):
            if isinstance(member, Text) and not _may_be_moment(member):
                fix = 'give it "format": "date-time" (or "date") in the schema, if it is one'
                self.tell(Code.NO_DATE, node, f"nothing says that {written(node.node)} is a date", fix)

    def _check_money(self, node: nodes.Filter, scope: Scope) -> None:
        currency = node.args[0] if node.args else next((p.value for p in node.kwargs if p.key == "currency"), None)
        if node.name != "money":
            return
        assert node.node is not None  # noqa: S101 - as in `_filtered`
        if currency is None:
            what = f"{written(node.node)} is shown without its currency"
            self.tell(Code.NO_CURRENCY, node, what, "`| money(data.currency)`", severity=Severity.WARNING)
        elif not may_be(found := self.not_null(currency, self.value(currency, scope)), Text, Anything, Absent):
            what = f"{written(currency)} is {describe(found)}, and a currency is a code such as 'EUR'"
            self.tell(Code.NO_CURRENCY, currency, what, "give a text")

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
            self.tell(Code.MAY_BE_ABSENT, node, what, "`map(attribute=…, default='…')` before")
        if node.name == "sum" and not may_be(found, Number, Anything) and members(found):
            self.tell(Code.WRONG_TYPE, node, f"`sum` adds numbers, and these are {describe(found)}", "name one")
        return NUMBER if node.name == "sum" else TEXT

    def _looked_up(self, node: nodes.Filter, found: Type, path: str) -> Type:
        for place, step in enumerate(path.split(".")):
            if may_be(found, Absent) and place:
                self.tell(Code.MAY_BE_ABSENT, node, f"{path!r} may be absent in some of the elements", DEFAULT_FIX)
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
                self.tell(Code.MAY_BE_ABSENT, node, what, f"`selectattr({words[0]!r}, 'defined')` before")
            if (node.name, words[1:2]) in (("selectattr", ["defined"]), ("rejectattr", ["undefined"])):
                kept = union(*(_having(member, words[0]) for member in members(kept)))
        return ListOf(kept)


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
