"""What operators and ``{{ … }}`` do: Python's meaning, with everything that could grow or recurse paid beforehand."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from jinja2.runtime import Undefined
from markupsafe import Markup, _escape_inner, escape  # type: ignore[attr-defined] # what `escape` calls

from notifier.rendering.decimals import calculate, printed
from notifier.rendering.meter import ExhaustedError, RefusedError, current, spend, spend_characters, weigh
from notifier.rendering.values import Json, describe

#: Bits a computed number may have. JSON data may bring larger ones (Python reads up to 4,300 digits); they may be
#: compared and printed, but `*` and `**` make nothing larger than this.
BITS = 1024
_SCALARS = frozenset({int, float, Decimal, bool, type(None)})
_NUMBERS = frozenset({int, float, Decimal, bool})
#: What JSON writes differently. Most values have none of it, and looking takes a third of escaping them.
_JSON_SPECIAL = re.compile(r'["\\]').search
#: Control characters but tab and newline go, carriage returns become newlines, lone surrogates (halves of an emoji that
#: JavaScript cut in two) become U+FFFD: no relay and no UTF-8 encoder takes them, and the rest of the text is fine.
_UNPRINTABLE: dict[int, str | None] = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160)])
_UNPRINTABLE |= {13: "\n"} | dict.fromkeys(range(0xD800, 0xE000), "�")


def clean(text: str) -> str:
    """``text`` without characters that cannot be sent."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text  # 50 times as fast as looking up each character
    return text.replace("\r\n", "\n").translate(_UNPRINTABLE)


def text_of(value: Any) -> str:
    """A value as text: what ``{{ value }}`` shows, and ``~`` joins."""
    if type(value) is str and len(value) <= 64 and value.isprintable():
        return value
    if type(value) is int or type(value) is float:
        return str(value)
    if isinstance(value, str):
        if len(value) > 64:
            spend_characters(len(value))
        # Safe text was made of clean text; looking again at what macros gave would double the cost of a page.
        return value if isinstance(value, Markup | Json) or value.isprintable() else clean(value)
    if type(value) is Decimal:
        return printed(value)
    if isinstance(value, Undefined) or type(value) in _NUMBERS:
        return str(value)
    if value is None:
        raise RefusedError("the value is null; test it with `if`, or give `| default('…', true)`")
    raise RefusedError(f"{describe(value)} cannot be printed; loop over it, or use `join` or `tojson`")


def html(value: Any) -> str:
    """``{{ value }}`` in an HTML template."""
    if type(value) is str and len(value) <= 64 and value.isprintable():
        escaped = _escape_inner(value)
        return value if escaped is value else _grown(escaped)
    if type(value) is int or type(value) is float:
        return str(value)
    if type(value) is Markup:
        return value
    return _grown(escape(text_of(value)))


def url_text(value: Any) -> str:
    """``{{ value }}`` in a URL: one segment or one parameter, whatever it holds (RFC 3986 §2.1, §3.3)."""
    text = text_of(value)
    if text in (".", ".."):
        raise RefusedError("a value in a URL is a dot or two, which would lead to another path")
    # A colon ends nothing behind the host, and tokens have one: not every server decodes what need not be encoded.
    return _grown(quote(text, safe=":@"))


def json_text(value: Any) -> str:
    """``{{ value }}`` in a JSON template: the inside of a string, so data can never end it; `tojson` makes the rest."""
    if type(value) is str and len(value) <= 64 and value.isprintable() and _JSON_SPECIAL(value) is None:
        return value
    if type(value) is Json:
        return value
    if value is None or value is True or value is False:
        return json.dumps(value)
    return _grown(json.dumps(text_of(value), ensure_ascii=False)[1:-1])


def _grown(text: str) -> str:
    """Escaping makes a text up to 6 times as long, and captured output waits in lists before anything joins it."""
    if len(text) > 64:
        spend_characters(len(text))
    return text


def concatenate(write: Callable[[Any], str], values: Iterable[Any]) -> str:
    """``a ~ b``: safe text stays safe, and what joins it is escaped for the kind of template."""
    parts = [text_of(value) for value in values]
    safe = _SAFE[write]
    if any(type(part) is safe for part in parts):
        return safe(concat([write(part) for part in parts]))
    return concat(parts)


def json_concat(chunks: Iterable[str]) -> Json:
    """`concat` in a JSON template, where all chunks were written as JSON."""
    return Json(concat(chunks))


def concat(chunks: Iterable[str]) -> str:
    """Jinja's own joining of output: stops a generator as soon as its text is too long."""
    parts = []
    left = current().characters
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise ExhaustedError("made too much text")
        parts.append(chunk)
    spend_characters(current().characters - left)
    return "".join(parts)


#: Writer of a kind of template → the type of text that it leaves as it is.
_SAFE: dict[Callable[[Any], str], type[str]] = {html: Markup, json_text: Json, text_of: Json}


def binary(symbol: str, left: Any, right: Any) -> Any:
    """``left symbol right`` for the arithmetic operators."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        if type(left) is Decimal or type(right) is Decimal:
            return calculate(symbol, left, right)
        if symbol in _GROWING:
            _GROWING[symbol](left, right)
        return _ARITHMETIC[symbol](left, right)
    for value in (left, right):
        if isinstance(value, Undefined):
            value._fail_with_undefined_error()  # noqa: SLF001 - the documented way an Undefined fails
    if symbol == "+" and type(left) is type(right) and isinstance(left, str | list):
        (spend_characters if isinstance(left, str) else spend)(len(left) + len(right))
        return left + right
    if symbol == "*" and type(left) is str and type(right) is int:
        spend_characters(len(left) * max(right, 0))
        return left * right
    raise RefusedError(f"{describe(left)} {symbol} {describe(right)} means nothing; `~` joins texts")


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > BITS:
        raise ExhaustedError(f"made a number of more than {BITS} bits")


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > BITS:
        raise ExhaustedError(f"made a number of more than {BITS} bits")


_GROWING = {"*": _check_product, "**": _check_power}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}


def _guarded(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def guarded(left: Any, right: Any) -> Any:
        if type(left) not in _SCALARS or type(right) not in _SCALARS:
            weigh(left, right)
        return compare(left, right)

    return guarded


def _contains(element: Any, container: Any) -> bool:
    if isinstance(container, Undefined):
        container._fail_with_undefined_error()  # noqa: SLF001 - the documented way an Undefined fails
    if not isinstance(container, list | tuple | dict | str):
        raise RefusedError(f"{describe(container)} has nothing in it")
    return element in container


def _lacks(element: Any, container: Any) -> bool:
    return not _contains(element, container)


#: Jinja's names of the comparisons → what they do.
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": _guarded(operator.eq),
    "ne": _guarded(operator.ne),
    "gt": _guarded(operator.gt),
    "gteq": _guarded(operator.ge),
    "lt": _guarded(operator.lt),
    "lteq": _guarded(operator.le),
    "in": _guarded(_contains),
    "notin": _guarded(_lacks),
}


def compare_all(names: list[str], *values: Any) -> bool:
    """``a < b <= c``."""
    return all(COMPARISONS[name](values[i], values[i + 1]) for i, name in enumerate(names))


def mapping(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """``{…}`` of a template: JSON's objects, whose keys are text (hashing a nested tuple can take for ever)."""
    made = dict[str, Any]()
    for key, value in pairs:
        if not isinstance(key, str):
            raise RefusedError(f"the key of an object is a text, not {describe(key)}")
        made[key] = value
    return made
