"""JSON in and out without changing a value: integers of any length, decimals of any precision, or a reason why not.

orjson reads what 64 bits cannot hold into a float, and of decimals what a double holds. So numbers of many digits are
looked for and tried first, and only a text with one that would change is read by the standard library, five times as
slowly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring_ascii
from typing import Any

import orjson

from notifier.domain.repairs import whole_characters

#: Digits of one number, written out: a uint256 has 78, and templates, schemas and SQL columns end far below this.
MAX_DIGITS = 500
_TOO_LONG = f"a number has more than {MAX_DIGITS} digits: publish it as a text"
#: Significant digits that every double keeps.
_SAFE_DIGITS = 15
#: Digits and points as 0, all else as a space: one pass in C over a message's bytes.
_LOOK = bytes(ord("0") if chr(code) in "0123456789." else ord(" ") for code in range(256))
#: More digits than a double keeps.
_LONG = b"0" * (_SAFE_DIGITS + 1)
#: A number without its sign, from its first digit on.
_WHOLE = re.compile(rb"[0-9.]+(?:[eE][-+]?[0-9]+)?")
#: What is before a number; other rows of digits are ids in texts.
_BEFORE = frozenset(b" \t\r\n:,[")
#: Characters beyond which no double and no 64 bits are written.
_LONGEST = 25
#: A number with an exponent of which a double may make 0 or infinity.
_EXTREME = re.compile(rb"(?:^|[\s:,\[])-?[0-9.]+[eE][-+]?[0-9]{3}")


class NotJson(ValueError):
    """The text is no JSON, or has a number nobody could keep; says what and where."""


def read_json(body: bytes) -> Any:
    """The value. Numbers are ``int``, ``float`` where that is the same number, or `Decimal`. Raises `NotJson`."""
    return read_exactly(body) if may_lose(body) else read_fast(body)


def may_lose(body: bytes) -> bool:
    """Whether a number in it may be more than a double is. Ten times as fast as reading it."""
    if _has_longer(body):
        return True
    return (_is_tiny(body, b"e-") or _is_tiny(body, b"E-")) and _EXTREME.search(body) is not None


def _has_longer(body: bytes) -> bool:
    """Whether orjson would change one of its numbers of many digits. A time with microseconds is none of them."""
    looked = body.translate(_LOOK)
    at = looked.find(_LONG)
    while at >= 0:
        whole = _WHOLE.match(body, at)
        assert whole is not None  # noqa: S101 - it begins with the digits that were found
        if _is_number(body, at) and not _is_kept(whole[0]):
            return True
        at = looked.find(_LONG, whole.end())
    return False


def _is_number(body: bytes, at: int) -> bool:
    """Whether JSON may have a number whose digits begin there."""
    if body[at - 1 : at] == b"-":
        at -= 1
    return at == 0 or body[at - 1] in _BEFORE


def _is_kept(number: bytes) -> bool:
    """Whether orjson reads it as it is: it is of 64 bits, or how a float is written."""
    if len(number) > _LONGEST:
        return False
    if number.isdigit():
        return int(number) < 2**63
    try:
        return repr(float(number)).encode() == number
    except ValueError:
        return True  # two points: it is in a text


def _is_tiny(body: bytes, exponent: bytes) -> bool:
    """``e-`` is in every ``de-AT``, so that what is around it is looked at too."""
    at = body.find(exponent)
    while at >= 0:
        if body[at - 1 : at].isdigit() and body[at + 2 : at + 5].isdigit():
            return True
        at = body.find(exponent, at + 2)
    return False


def read_fast(body: bytes) -> Any:
    """The value of what `may_lose` has nothing against, or whose value was seen to be written alike."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if _EXTREME.search(body) or _has_longer(body):  # 1e400, which is infinite to orjson
            return read_exactly(body)
        raise NotJson(str(error)) from error


def read_written(body: bytes) -> Any:
    """The same of what `write_json` wrote: orjson reads its own floats, and half pairs of no event may stay."""
    if _has_longer(body) or (b"E-" in body and _EXTREME.search(body)):
        return _decoded(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _decoded(body)


def write_json(value: Any) -> bytes:
    """The shortest spelling; numbers that `read_json` gives are written with all their digits."""
    plain = plain_json(value)
    return "".join(_parts(value)).encode("ascii") if plain is None else plain


def plain_json(value: Any) -> bytes | None:
    """The same, of what any JSON library reads without loss; None for more than 64 bits, `Decimal`, half a pair."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return None


def is_exact(value: Any) -> bool:
    """Whether a `Decimal` is in it, which no JSON library writes by itself."""
    if plain_json(value) is not None:
        return False
    try:
        json.dumps(value)
    except TypeError:
        return True
    return False


def read_exactly(body: bytes) -> Any:
    """The value, by the standard library."""
    if whole_characters(body) is not body:
        raise NotJson("half of a surrogate pair")  # which the standard library would let pass
    return _decoded(body)


def _decoded(body: bytes) -> Any:
    try:
        return _EXACT.decode(body.decode("utf-8"))
    except NotJson:
        raise
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error


def exact_integer(text: str) -> int:
    """A whole number of JSON. Raises `NotJson` for one of too many digits."""
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise NotJson(_TOO_LONG)
    return int(text)


def exact_decimal(text: str) -> float | Decimal:
    """Any other number of JSON: a float where that is the same number. Raises `NotJson`."""
    number = float(text)
    if len(text) <= _SAFE_DIGITS and "e" not in text and "E" not in text:
        return number
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise NotJson(_TOO_LONG) from None
    if Decimal(repr(number)) == exact:
        return number
    _, digits, exponent = exact.as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - a number's; only NaN and infinity have letters
    if max(len(digits), exact.adjusted() + 1, -exponent) > MAX_DIGITS:
        raise NotJson(_TOO_LONG)
    return exact


def _refused(constant: str) -> Any:
    raise NotJson(f"{constant} is not JSON")


_EXACT = json.JSONDecoder(parse_float=exact_decimal, parse_int=exact_integer, parse_constant=_refused)


def _parts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield encode_basestring_ascii(value)
    elif isinstance(value, dict):
        separator = "{"
        for key, item in value.items():
            yield f"{separator}{encode_basestring_ascii(key)}:"
            yield from _parts(item)
            separator = ","
        yield "}" if value else "{}"
    elif isinstance(value, list | tuple):
        separator = "["
        for item in value:
            yield separator
            yield from _parts(item)
            separator = ","
        yield "]" if value else "[]"
    elif isinstance(value, Decimal):
        yield str(value)
    else:
        yield json.dumps(value, allow_nan=False)
