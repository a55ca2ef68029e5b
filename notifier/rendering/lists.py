"""Filters over lists and objects."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from operator import itemgetter
from typing import Any

from jinja2.runtime import Context as JinjaContext
from jinja2.runtime import Undefined
from jinja2.utils import pass_context
from markupsafe import Markup, escape

from notifier.rendering.meter import RefusedError, spend, spend_characters
from notifier.rendering.operators import binary, text_of
from notifier.rendering.registry import FILTERS, TESTS, Filter, deep, shallow
from notifier.rendering.values import Missing, describe, item, iterate, size


def elements(value: Any) -> list[Any]:
    """The elements of a list, the keys of an object or the characters of a text, as a new list."""
    return list(iterate(value))


def _getter(path: Any) -> Filter:
    keys: list[Any] = [int(k) if k.isdigit() else k for k in path.split(".")] if isinstance(path, str) else [path]

    def get(value: Any) -> Any:
        spend(len(keys))
        for key in keys:
            value = item(value, key)
        return value

    return get


@shallow("length", "count")
def _length(value: Any) -> int:
    return size(value)


@shallow("list")
def _list(value: Any) -> list[Any]:
    return elements(value)


@shallow("items")
def _items(value: Any) -> list[Any]:
    if not isinstance(value, dict):
        raise RefusedError(f"items needs an object, not {describe(value)}")
    spend(2 * len(value))
    return [[key, element] for key, element in value.items()]


@shallow("first")
def _first(value: Any) -> Any:
    size(value)
    return next(iter(value), Missing("the list is empty, it has no first element"))


@shallow("last")
def _last(value: Any) -> Any:
    if not size(value):
        return Missing("the list is empty, it has no last element")
    return elements(value)[-1] if isinstance(value, dict) else value[-1]


@shallow("reverse")
def _reverse(value: Any) -> Any:
    if isinstance(value, str):
        spend_characters(len(value))
        return value[::-1]
    return elements(value)[::-1]


@shallow("batch")
def _batch(value: Any, count: int) -> list[list[Any]]:
    if not isinstance(count, int) or count < 1:
        raise RefusedError("batch needs a number of at least 1")
    listed = elements(value)
    return [listed[start : start + count] for start in range(0, len(listed), count)]


@shallow("map")
@pass_context
def _map(context: JinjaContext, value: Any, name: str = "", *args: Any, attribute: Any = None, **kwargs: Any) -> Any:
    listed = elements(value)
    if attribute is None:
        function = _named(FILTERS, context, name)
        return [function(element, *args, **kwargs) for element in listed]
    get = _getter(attribute)
    if "default" in kwargs:
        return [kwargs["default"] if isinstance(found := get(element), Undefined) else found for element in listed]
    return [get(element) for element in listed]


def _named(table: dict[str, Filter], context: JinjaContext, name: Any) -> Filter:
    function = table.get(name) if isinstance(name, str) else None
    if function is None:
        # Without the name, which may be a value of the data; the line of the template is told.
        raise RefusedError(f"there is no such {'filter' if table is FILTERS else 'test'}")
    return partial(function, context) if hasattr(function, "jinja_pass_arg") else function


def _select(wanted: bool, by_attribute: bool) -> Filter:
    @pass_context
    def select(context: JinjaContext, value: Any, *args: Any) -> list[Any]:
        if by_attribute and not args:
            raise RefusedError("selectattr and rejectattr need the name of an attribute")
        get: Filter = _getter(args[0]) if by_attribute else _same
        rest = args[1:] if by_attribute else args
        passes = _named(TESTS, context, rest[0]) if rest else bool
        return [element for element in elements(value) if passes(get(element), *rest[1:]) == wanted]

    return select


def _same(value: Any) -> Any:
    return value


shallow("select")(_select(wanted=True, by_attribute=False))
shallow("reject")(_select(wanted=False, by_attribute=False))
shallow("selectattr")(_select(wanted=True, by_attribute=True))
shallow("rejectattr")(_select(wanted=False, by_attribute=True))


def _key(attribute: Any, case_sensitive: bool) -> Filter:
    get = _same if attribute is None else _getter(attribute)

    def key(element: Any) -> Any:
        found = get(element)
        return found.lower() if isinstance(found, str) and not case_sensitive else found

    return key


@deep("sort")
def _sort(value: Any, reverse: bool = False, case_sensitive: bool = False, attribute: Any = None) -> list[Any]:
    listed = elements(value)
    spend(len(listed) * len(listed).bit_length())
    return sorted(listed, key=_key(attribute, case_sensitive), reverse=reverse)


@deep("dictsort")
def _dictsort(value: Any, reverse: bool = False) -> list[Any]:
    pairs = _items(value)
    spend(len(pairs) * len(pairs).bit_length())
    return sorted(pairs, key=itemgetter(0), reverse=reverse)


@deep("unique")
def _unique(value: Any, attribute: Any = None) -> list[Any]:
    found: dict[Any, Any] = {}
    key = _key(attribute, case_sensitive=False)
    for element in elements(value):
        found.setdefault(_hashable(key(element)), element)
    return list(found.values())


def _hashable(value: Any) -> Any:
    if isinstance(value, str | int | float | Decimal | None):
        return value
    raise RefusedError(f"needs texts or numbers, not {describe(value)}; name an attribute")


@deep("groupby")
def _groupby(value: Any, attribute: Any) -> list[list[Any]]:
    groups: dict[Any, list[Any]] = {}
    get = _getter(attribute)
    for element in elements(value):
        groups.setdefault(_hashable(get(element)), []).append(element)
    spend(len(groups) * len(groups).bit_length())
    return [[key, groups[key]] for key in sorted(groups)]


def _extreme(choose: Filter) -> Filter:
    def extreme(value: Any, attribute: Any = None, case_sensitive: bool = False) -> Any:
        listed = elements(value)
        if not listed:
            return Missing("the list is empty")
        return choose(listed, key=_key(attribute, case_sensitive))

    return extreme


deep("min")(_extreme(min))
deep("max")(_extreme(max))


@deep("sum")
def _sum(value: Any, attribute: Any = None, start: Any = 0) -> Any:
    get = _same if attribute is None else _getter(attribute)
    total = start
    for element in elements(value):
        number = get(element)
        if not isinstance(number, int | float | Decimal) or not isinstance(total, int | float | Decimal):
            raise RefusedError(f"sum needs numbers, not {describe(number)}")
        total = binary("+", total, number)
    return total


@deep("join")
def _join(value: Any, separator: str = "", attribute: Any = None) -> str:
    get = _same if attribute is None else _getter(attribute)
    parts = [text_of(get(element)) for element in elements(value)]
    joint = text_of(separator)
    safe = isinstance(joint, Markup) or any(isinstance(part, Markup) for part in parts)
    if safe:
        parts, joint = [escape(part) for part in parts], escape(joint)
    spend_characters(sum(map(len, parts)) + len(joint) * len(parts))
    joined = joint.join(parts)
    return Markup(joined) if safe else joined  # noqa: S704 - every part is escaped
