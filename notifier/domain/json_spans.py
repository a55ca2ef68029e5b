"""Where a part of a JSON text begins and ends: what is passed on as it was written must not be read and rewritten.

The standard library's scanner reads values at a place of a text, in C; here it only tells where they end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]  # the documented module, the undocumented name

#: Numbers are not made of what is passed over: the longest would take the longest.
_PASS = json.JSONDecoder(parse_float=len, parse_int=len).raw_decode
_NAME = re.compile(r'"data"[ \t\r\n]*:[ \t\r\n]*').search
_SPACE = re.compile(r"[ \t\r\n]*").match


def data_member(body: bytes) -> bytes | None:
    """The text of a structured event's ``data``; of the last one when there are several, as in the value that was read.

    All its other members are texts and numbers: then the first thing that looks like its name is it.
    """
    text = body.decode("utf-8")
    if text.count('"data"') == 1 and (name := _NAME(text)):
        return text[name.end() : _PASS(text, name.end())[1]].encode()
    return _sought(text)


def _sought(text: str) -> bytes | None:
    found = None
    at = _skip(text, _skip(text, 0) + 1)
    while text.startswith('"', at):
        key, at = scanstring(text, at + 1)
        start = _skip(text, _skip(text, at) + 1)
        _, at = _PASS(text, start)
        if key == "data":
            found = text[start:at]
        at = _skip(text, _skip(text, at) + 1)
    return None if found is None else found.encode()


def elements(body: bytes) -> Iterator[bytes]:
    """The texts of an array's elements. Of both the text must have been read as JSON before."""
    text = body.decode("utf-8")
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "]":
        _, end = _PASS(text, at)
        yield text[at:end].encode()
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    """Past white space."""
    match = _SPACE(text, at)
    assert match is not None  # noqa: S101 - no space at all matches too
    return match.end()
