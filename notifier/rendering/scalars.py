"""Filters over single values, and the tests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from operator import methodcaller
from typing import Any
from urllib.parse import quote

from jinja2.runtime import Undefined
from markupsafe import Markup, escape

from notifier.domain.json_text import write_json
from notifier.rendering.decimals import rounded
from notifier.rendering.meter import RefusedError, spend_characters, weigh
from notifier.rendering.operators import COMPARISONS, binary, clean, text_of
from notifier.rendering.registry import deep, shallow, test
from notifier.rendering.values import Json, describe, need_text, replace


@shallow("default", "d")
def _default(value: Any, otherwise: Any = "", falsy: bool = False) -> Any:
    return otherwise if isinstance(value, Undefined) or (falsy and not value) else value


def _case(change: Callable[[str], str]) -> Callable[[Any], str]:
    # One parameter and no more: a default argument that holds the method's name could be overwritten by a template.
    return lambda value: change(text_of(value))


deep("upper")(_case(methodcaller("upper")))
deep("lower")(_case(methodcaller("lower")))
deep("title")(_case(methodcaller("title")))
deep("capitalize")(_case(methodcaller("capitalize")))


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


@deep("nl2br")
def _nl2br(value: Any) -> Markup:
    """Line ends as ``<br>``, for texts that people typed: HTML shows their lines as one. The text itself is escaped."""
    lines = text_of(value).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Markup("<br>\n").join(escape(line) for line in lines)


@deep("url")
def _url(value: Any) -> str:
    """An address for ``href``: escaping does not stop ``javascript:``, this does."""
    text = text_of(value).strip()
    if text.lower().startswith(("https://", "http://", "mailto:", "tel:")):
        return text
    raise RefusedError("a link begins with https://, http://, mailto: or tel:")


@deep("urlencode")
def _urlencode(value: Any) -> str:
    """A text as one part of a path or query; an object as a whole query."""
    if isinstance(value, dict):
        return "&".join(f"{_quote(k)}={_quote(v)}" for k, v in value.items())
    return _quote(value)


def _quote(value: Any) -> str:
    return quote(text_of(value).encode("utf-8", "replace"), safe="")


@shallow("tojson")
def _tojson(value: Any) -> Json:
    """A value as JSON. HTML escapes it like any other text, so it may stand in an attribute too."""
    # `deep` would weigh it too, and not pay for its characters before they are written.
    spend_characters(weigh(value))
    try:
        text = _JSON.encode(value)
    except _ExactError:
        text = write_json(value).decode()
    except ValueError:
        raise RefusedError("a number that is not finite has no JSON") from None
    spend_characters(len(text))
    return Json(clean(text))


class _ExactError(Exception):
    """A `Decimal`, for which the standard library has no digits."""


def _no_json(value: Any) -> Any:
    if type(value) is Decimal:
        raise _ExactError
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - the documented way an Undefined fails
    raise RefusedError(f"{describe(value)} has no JSON")


#: Made once: `json.dumps` with options makes an encoder for each call.
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_no_json)


@deep("abs")
def _abs(value: Any) -> Any:
    return value.copy_abs() if type(value) is Decimal else abs(value)


@deep("round")
def _round(value: Any, precision: int = 0) -> Any:
    if not isinstance(precision, int) or not -15 <= precision <= 15:
        raise RefusedError("round takes -15 to 15 decimals")
    if type(value) is Decimal:
        return rounded(value, precision)
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
        number = float(value)
        return otherwise if type(value) is Decimal and not isfinite(number) else number
    except (TypeError, ValueError, OverflowError):
        return otherwise


@deep("format")
def _format(value: Any, *args: Any) -> str:
    """``'%.2f' | format(x)``: widths and precisions up to 100, one argument per field."""
    template = need_text(value)
    _check_fields(template)
    texts = weigh(args)
    spend_characters(len(template) + texts + 500 * len(args))
    printable = [_printable(argument) for argument in args]
    if any(type(argument) is Decimal or (type(argument) is int and abs(argument) > 2**53) for argument in args):
        template, printable = _with_exact(template, printable)
    return template % tuple(printable)


def _with_exact(template: str, arguments: list[Any]) -> tuple[str, list[Any]]:
    """The same with every ``%.2f`` of an exact number filled in, of which Python would make a float first."""
    left = iter(arguments)
    kept: list[Any] = []

    def filled(field: re.Match[str]) -> str:
        if field["kind"] is None:
            return field[0]
        argument = next(left, None)
        if field["kind"] != "f" or not isinstance(argument, int | Decimal):
            kept.append(argument)
            return field[0]
        flags = field["flags"]
        align = "<" if "-" in flags else "" if "0" in flags else ">"
        sign = "+" if "+" in flags else " " if " " in flags else ""
        zeros = "" if align else "0"
        precision = 6 if field["precision"] is None else field["precision"] or 0
        return format(Decimal(argument), f"{align}{sign}{zeros}{field['width']}.{precision}f").replace("%", "%%")

    return _FIELD.sub(filled, template), kept + list(left)


_FIELD = re.compile(r"%%|%(?P<flags>[#0\- +]*)(?P<width>[0-9]*)(?:\.(?P<precision>[0-9]*))?(?P<kind>[a-zA-Z])")


def _check_fields(template: str) -> None:
    for part in template.replace("%%", "").split("%")[1:]:
        field = part.lstrip("#0- +")
        kind = field.lstrip("0123456789.")
        numbers = field[: len(field) - len(kind)].split(".")
        if not kind or kind[0] not in "sdfgexXo" or any(len(n) > 3 or (n and int(n) > 100) for n in numbers):
            raise RefusedError("format knows %s %d %f %g %e %x %o with widths and precisions up to 100")


def _printable(value: Any) -> Any:
    return value if isinstance(value, int | float | Decimal) else text_of(value)


test("defined")(lambda value: not isinstance(value, Undefined))
test("undefined")(lambda value: isinstance(value, Undefined))
test("none", "null")(lambda value: value is None)
test("true")(lambda value: value is True)
test("false")(lambda value: value is False)
test("boolean")(lambda value: isinstance(value, bool))
test("integer")(lambda value: isinstance(value, int) and not isinstance(value, bool))
test("float")(lambda value: isinstance(value, float | Decimal))
test("number")(lambda value: isinstance(value, int | float | Decimal) and not isinstance(value, bool))
test("string")(lambda value: isinstance(value, str))
test("mapping")(lambda value: isinstance(value, dict))
test("sequence", "iterable")(lambda value: isinstance(value, list | tuple | str | dict))
test("odd")(lambda value: binary("%", value, 2) == 1)
test("even")(lambda value: binary("%", value, 2) == 0)
test("divisibleby")(lambda value, number: binary("%", value, number) == 0)
for _names, _operator in (
    (("eq", "equalto", "=="), "eq"),
    (("ne", "!="), "ne"),
    (("gt", "greaterthan", ">"), "gt"),
    (("ge", ">="), "gteq"),
    (("lt", "lessthan", "<"), "lt"),
    (("le", "<="), "lteq"),
    (("in",), "in"),
):
    test(*_names)(COMPARISONS[_operator])
