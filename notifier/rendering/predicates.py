"""Conditions that need no sandbox: paths of the data and constants, compared and joined. Most `when` are no more.

A run of the sandbox costs 9 µs, of which its context and its meter are two thirds, and an event type may have hundreds
of rules. Such a condition is compiled to closures instead (0.3 µs); what several rules look at is looked up once.
Whatever is not certain to be what the sandbox would say (a name that is missing, a list, a long text, two kinds that
cannot be compared) raises `UNSURE`, and the sandbox is asked: it decides, and tells mistakes in its own words.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from jinja2 import nodes

from notifier.domain.event import Event
from notifier.rendering.context import event_attributes
from notifier.rendering.values import OBJECT_METHODS

#: What a `Predicate` raises where the sandbox has to be asked.
UNSURE = (KeyError, TypeError)
#: Characters of a condition that is compiled, and of a text that it looks at: some hundred comparisons of so little are
#: far within the steps of a render, so nothing is true here for which the sandbox would have no budget left.
_SOURCE = _TEXT = 1000
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
    "in": lambda element, container: element in container,
    "notin": lambda element, container: element not in container,
}
#: Between the names of a path. No name written with a dot has it, and one between brackets that has is not compiled.
_THEN = "\x1f"


class Facts(dict[str, Any]):
    """What conditions look at in one event, each value found once: path → text, number, true, false or null."""

    __slots__ = ("_event",)

    def __init__(self, event: Event) -> None:
        super().__init__()
        self._event = event

    def is_absent(self, path: str) -> bool:
        """Whether nothing has the last name of a path; a method that templates may call has."""
        owner, _, name = path.rpartition(_THEN)
        value = self._walk(owner)
        if type(value) is not dict or name in OBJECT_METHODS:
            raise KeyError(path)
        return name not in value

    def __missing__(self, path: str) -> Any:
        value = self._walk(path)
        if type(value) not in _KINDS or (type(value) is str and len(value) > _TEXT):
            raise KeyError(path)
        self[path] = value
        return value

    def _walk(self, path: str) -> Any:
        root, *names = path.split(_THEN)
        value: Any = self._event.data if root == "data" else event_attributes(self._event)
        for name in names:
            if type(value) is not dict:
                raise KeyError(path)
            value = value[name]
        return value


_KINDS = frozenset({str, int, float, bool, Decimal, type(None)})

Predicate = Callable[[Facts], Any]
"""Its truth is that of the condition. Raises `UNSURE`."""


def predicate(tree: nodes.Expr, source: str) -> Predicate | None:
    """The condition as closures; None where only the sandbox knows."""
    try:
        return _condition(tree) if len(source) <= _SOURCE else None
    except _BeyondError:
        return None


class _BeyondError(Exception):
    """Something that only the sandbox knows."""


def _condition(node: nodes.Node) -> Predicate:
    if isinstance(node, nodes.And):
        return _both(_condition(node.left), _condition(node.right))
    if isinstance(node, nodes.Or):
        return _either(_condition(node.left), _condition(node.right))
    if isinstance(node, nodes.Not):
        return _opposite(_condition(node.node))
    if isinstance(node, nodes.Compare):
        return _comparison(node)
    if isinstance(node, nodes.Test):
        return _presence(node)
    return _operand(node)


def _both(left: Predicate, right: Predicate) -> Predicate:
    return lambda facts: left(facts) and right(facts)


def _either(left: Predicate, right: Predicate) -> Predicate:
    return lambda facts: left(facts) or right(facts)


def _opposite(inner: Predicate) -> Predicate:
    return lambda facts: not inner(facts)


def _presence(node: nodes.Test) -> Predicate:
    if node.name not in ("defined", "undefined") or isinstance(node.node, nodes.Name):
        raise _BeyondError
    path, absent = _path(node.node), node.name == "undefined"
    return lambda facts: facts.is_absent(path) is absent


def _comparison(node: nodes.Compare) -> Predicate:
    if len(node.ops) != 1:
        raise _BeyondError
    compare, right = _COMPARISONS[node.ops[0].op], node.ops[0].expr
    if _is_constant(right):
        return _with_constant(compare, _operand(node.expr), _constant(right))
    first, second = _operand(node.expr), _operand(right)
    return lambda facts: compare(first(facts), second(facts))


def _with_constant(compare: Callable[[Any, Any], Any], left: Predicate, value: Any) -> Predicate:
    return lambda facts: compare(left(facts), value)


def _operand(node: nodes.Node) -> Predicate:
    if _is_constant(node):
        value = _constant(node)
        return lambda _: value
    if isinstance(node, nodes.Filter):
        return _default(node)
    path = _path(node)
    return lambda facts: facts[path]


def _default(node: nodes.Filter) -> Predicate:
    """``path | default(constant)``, and with ``true`` behind it for whatever is false too."""
    if node.name != "default" or node.kwargs or node.dyn_args or node.dyn_kwargs or not 1 <= len(node.args) <= 2:
        raise _BeyondError
    if node.node is None or isinstance(node.node, nodes.Name):
        raise _BeyondError
    path, otherwise = _path(node.node), _constant(node.args[0])
    falsy = len(node.args) > 1 and _constant(node.args[1])

    def found(facts: Facts) -> Any:
        if facts.is_absent(path):
            return otherwise
        return (facts[path] or otherwise) if falsy else facts[path]

    return found


def _is_constant(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const | nodes.List | nodes.Tuple | nodes.Neg)


def _constant(node: nodes.Node) -> Any:
    if isinstance(node, nodes.Neg):
        value = _constant(node.node)
        if type(value) not in (int, float):
            raise _BeyondError
        return -value
    if isinstance(node, nodes.List | nodes.Tuple):
        return [_constant(item) for item in node.items]
    if not isinstance(node, nodes.Const):
        raise _BeyondError
    return node.value


def _path(node: nodes.Node) -> str:
    if isinstance(node, nodes.Name) and node.name in ("data", "event"):
        return str(node.name)
    if isinstance(node, nodes.Getattr):
        return _path(node.node) + _THEN + str(node.attr)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        name = node.arg.value
        if isinstance(name, str) and _THEN not in name:
            return _path(node.node) + _THEN + name
    raise _BeyondError
