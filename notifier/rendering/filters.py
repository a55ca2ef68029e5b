"""The filters and tests of templates and expressions: general ones here, dates and numbers in `formats`.

All give finished values, never generators: a chain of 100,000 lazy ``map`` calls would overflow the C stack. Left out of
Jinja's own set: `safe`, `striptags`, `urlize`, `xmlattr`, `wordwrap`, `center` (HTML belongs in templates; the others are
slow or wide by design), `attr`, `format_map`, `pprint`, `random`, `slice`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from operator import itemgetter
from typing import Any
from urllib.parse import quote

from jinja2.runtime import Context as JinjaContext
from jinja2.runtime import Undefined
from jinja2.utils import pass_context
from markupsafe import Markup, escape

from notifier.rendering.meter import RefusedError, spend, spend_characters, weigh
from notifier.rendering.operators import COMPARISONS, text_of
from notifier.rendering.values import Missing, describe, item, iterate, need_text, replace, size

Filter = Callable[..., Any]
FILTERS: dict[str, Filter] = {}
TESTS: dict[str, Filter] = {}


def shallow(*names: str) -> Callable[[Filter], Filter]:
    """A filter that does not look inside its elements, so that ``digest.items | length`` costs one step."""

    def register(function: Filter) -> Filter:
        @wraps(function)
        def paid(*args: Any, **kwargs: Any) -> Any:
            spend(1 + len(args) + len(kwargs))
            return function(*args, **kwargs)

        FILTERS.update(dict.fromkeys(names, paid))
        return function

    return register


def deep(*names: str) -> Callable[[Filter], Filter]:
    """A filter that reads all of its value: everything inside is paid first, and the text it makes afterwards."""

    def register(function: Filter) -> Filter:
        @wraps(function)
        def paid(*args: Any, **kwargs: Any) -> Any:
            weigh(args, *kwargs.values())
            result = function(*args, **kwargs)
            if isinstance(result, str):
                spend_characters(len(result))
            return result

        FILTERS.update(dict.fromkeys(names, paid))
        return function

    return register


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


@shallow("default", "d")
def _default(value: Any, otherwise: Any = "", falsy: bool = False) -> Any:
    return otherwise if isinstance(value, Undefined) or (falsy and not value) else value


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
        return [_call(FILTERS, context, name, element, args, kwargs) for element in listed]
    get = _getter(attribute)
    if "default" in kwargs:
        return [kwargs["default"] if isinstance(found := get(element), Undefined) else found for element in listed]
    return [get(element) for element in listed]


def _call(table: dict[str, Filter], context: JinjaContext, name: Any, value: Any, args: Any, kwargs: Any) -> Any:
    function = table.get(name) if isinstance(name, str) else None
    if function is None:
        raise RefusedError(f"there is no {'filter' if table is FILTERS else 'test'} {str(name)[:40]!r}")
    first = (context,) if hasattr(function, "jinja_pass_arg") else ()
    return function(*first, value, *args, **kwargs)


def _select(wanted: bool, by_attribute: bool) -> Filter:
    @pass_context
    def select(context: JinjaContext, value: Any, *args: Any) -> list[Any]:
        get: Filter = _getter(args[0]) if by_attribute else _same
        rest = args[1:] if by_attribute else args
        kept = []
        for element in elements(value):
            found = get(element)
            passed = _call(TESTS, context, rest[0], found, rest[1:], {}) if rest else bool(found)
            if passed == wanted:
                kept.append(element)
        return kept

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
    if isinstance(value, str | int | float | None):
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
        if not isinstance(number, int | float) or not isinstance(total, int | float):
            raise RefusedError(f"sum needs numbers, not {describe(number)}")
        total += number
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


for _name in ("upper", "lower", "title", "capitalize"):
    deep(_name)(lambda value, _name=_name: getattr(text_of(value), _name)())


@deep("trim")
def _trim(value: Any, characters: str | None = None) -> str:
    return text_of(value).strip(characters)


@deep("string")
def _string(value: Any) -> str:
    return text_of(value)


@deep("replace")
def _replace(value: Any, old: str, new: str, count: int = -1) -> str:
    return replace(text_of(value), old, new, count)


@deep("truncate")
def _truncate(value: Any, length: int = 255, end: str = "…") -> str:
    """At most ``length`` characters, cut between words where there is a space."""
    text = text_of(value)
    if len(text) <= length:
        return text
    cut = text[: max(length - len(need_text(end)), 0)]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut) + end


@deep("indent")
def _indent(value: Any, width: int = 4, first: bool = False) -> str:
    if not isinstance(width, int) or not 0 <= width <= 100:
        raise RefusedError("indent takes 0 to 100 columns")
    text = text_of(value)
    spend_characters(width * (text.count("\n") + 1))
    indented = text.replace("\n", "\n" + " " * width)
    return " " * width + indented if first else indented


@deep("escape", "e")
def _escape(value: Any) -> Markup:
    return escape(text_of(value))


@deep("urlencode")
def _urlencode(value: Any) -> str:
    """A text as one part of a path or query; an object as a whole query."""
    if isinstance(value, dict):
        return "&".join(f"{_quote(k)}={_quote(v)}" for k, v in value.items())
    return _quote(value)


def _quote(value: Any) -> str:
    return quote(text_of(value).encode("utf-8", "replace"), safe="")


@deep("tojson")
def _tojson(value: Any) -> Markup:
    """JSON that is also safe inside HTML: ``<``, ``>``, ``&`` and ``'`` are written as ``\\u…``."""
    spend_characters(weigh(value))
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_no_json)
    except ValueError:
        raise RefusedError("a number that is not finite has no JSON") from None
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped just above


def _no_json(value: Any) -> Any:
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - the documented way an Undefined fails
    raise RefusedError(f"{describe(value)} has no JSON")


@deep("abs")
def _abs(value: Any) -> Any:
    return abs(value)


@deep("round")
def _round(value: Any, precision: int = 0) -> Any:
    if not isinstance(precision, int) or not -15 <= precision <= 15:
        raise RefusedError("round takes -15 to 15 decimals")
    return round(value, precision) if precision else round(value)


@deep("int")
def _int(value: Any, otherwise: Any = 0) -> Any:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise


@deep("float")
def _float(value: Any, otherwise: Any = 0.0) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise


@deep("format")
def _format(value: Any, *args: Any) -> str:
    """``'%.2f' | format(x)``: widths and precisions up to 100, one argument per field."""
    template = need_text(value)
    _check_fields(template)
    texts = weigh(args)
    spend_characters(len(template) + texts + 500 * len(args))
    return template % tuple(_printable(argument) for argument in args)


def _check_fields(template: str) -> None:
    for part in template.replace("%%", "").split("%")[1:]:
        field = part.lstrip("#0- +")
        kind = field.lstrip("0123456789.")
        numbers = field[: len(field) - len(kind)].split(".")
        if not kind or kind[0] not in "sdfgexXo" or any(len(n) > 3 or (n and int(n) > 100) for n in numbers):
            raise RefusedError("format knows %s %d %f %g %e %x %o with widths and precisions up to 100")


def _printable(value: Any) -> Any:
    return value if isinstance(value, int | float) else text_of(value)


def _test(*names: str) -> Callable[[Filter], Filter]:
    def register(function: Filter) -> Filter:
        @wraps(function)
        def paid(*args: Any) -> bool:
            spend(1 + len(args))
            return bool(function(*args))

        TESTS.update(dict.fromkeys(names, paid))
        return function

    return register


_test("defined")(lambda value: not isinstance(value, Undefined))
_test("undefined")(lambda value: isinstance(value, Undefined))
_test("none", "null")(lambda value: value is None)
_test("true")(lambda value: value is True)
_test("false")(lambda value: value is False)
_test("boolean")(lambda value: isinstance(value, bool))
_test("integer")(lambda value: isinstance(value, int) and not isinstance(value, bool))
_test("float")(lambda value: isinstance(value, float))
_test("number")(lambda value: isinstance(value, int | float) and not isinstance(value, bool))
_test("string")(lambda value: isinstance(value, str))
_test("mapping")(lambda value: isinstance(value, dict))
_test("sequence", "iterable")(lambda value: isinstance(value, list | tuple | str | dict))
_test("odd")(lambda value: value % 2 == 1)
_test("even")(lambda value: value % 2 == 0)
_test("divisibleby")(lambda value, number: value % number == 0)
for _names, _operator in (
    (("eq", "equalto", "=="), "eq"),
    (("ne", "!="), "ne"),
    (("gt", "greaterthan", ">"), "gt"),
    (("ge", ">="), "gteq"),
    (("lt", "lessthan", "<"), "lt"),
    (("le", "<="), "lteq"),
    (("in",), "in"),
):
    _test(*_names)(COMPARISONS[_operator])


