"""Media types of files, with their parameters: ``text/calendar; method=REQUEST; charset=utf-8`` (RFC 2045 §5.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

#: Characters of a whole media type; real ones have below 200, and each parameter has to fit on one line of a header.
MAX_TEXT = 500
#: Characters of one parameter as it is written: a header's line has at most 998, and nothing in it can be folded.
MAX_PARAMETER = 900
#: RFC 6838 §4.2: a type and a subtype have at most 127 characters each.
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_TYPE = re.compile(rf"[ \t]*({_NAME}/{_NAME})[ \t]*")
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"  # noqa: S105 - the name of the grammar
_PARAMETER = re.compile(rf';[ \t]*(?:({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")[ \t]*)?')
_WHOLE_TOKEN = re.compile(_TOKEN)
#: Signs that RFC 2231 gives a meaning to: the standard library does not read them in a value without quotes.
_EXTENDING = re.compile("[*'%]")
_HOW = 'write: type/subtype; name=value, or name="value" with spaces and letters beyond ASCII'
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type and its parameters. ``name`` and the parameters' names are lower-case, values are as they were written."""

    name: str
    parameters: tuple[tuple[str, str], ...] = ()

    def parameter(self, name: str) -> str:
        """A parameter's value; empty without it."""
        return dict(self.parameters).get(name, "")

    def __str__(self) -> str:
        """As it stands in a header, on one line."""
        return "; ".join([self.name, *self.written()])

    def written(self) -> list[str]:
        """Each parameter as it stands in a header."""
        return [_written(name, value) for name, value in self.parameters]


def read_media_type(text: str) -> MediaType:
    """Raises `ValueError` with what is wrong.

    RFC 2046 §5.2 forbids base64 inside multipart and message types, and a nested message is a place to hide headers.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"a media type has at most {MAX_TEXT} characters, this one {len(text)}")
    if _CONTROLS.search(text):
        raise ValueError("a media type cannot contain a line end or another control character")
    found = _TYPE.match(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is not a media type; write it like application/pdf")
    name = found[1].lower()
    if name.startswith(("multipart/", "message/")):
        raise ValueError(f"{name[:80]!r} is not a media type a file can have; application/octet-stream is")
    media_type = MediaType(name, _parameters(text, found.end()))
    if any(len(written) > MAX_PARAMETER for written in media_type.written()):
        raise ValueError("a parameter of the media type is too long for a line of a mail")
    return media_type


def _parameters(text: str, position: int) -> tuple[tuple[str, str], ...]:
    read: dict[str, str] = {}
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None:
            raise ValueError(f"{text[position:][:80]!r} is not a parameter; {_HOW}")
        position = found.end()
        if found[1] is None:  # a semicolon with nothing behind it, as some programs write them
            continue
        name = found[1].lower()
        if name.partition("*")[0] == "boundary":
            raise ValueError("a file has no boundary: that is for mails in parts")
        if name in read:
            raise ValueError(f"the parameter {name!r} is there twice")
        read[name] = re.sub(r"\\(.)", r"\1", found[3]) if found[2] is None else found[2]
    return tuple(read.items())


def _written(name: str, value: str) -> str:
    if _WHOLE_TOKEN.fullmatch(value) and (name.endswith("*") or not _EXTENDING.search(value)):
        return f"{name}={value}"
    if value.isascii():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{name}="{escaped}"'
    return f"{name.rstrip('*')}*=utf-8''{quote(value, safe='')}"
