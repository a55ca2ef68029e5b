"""Media types: which of them say that data is JSON or text, in every mode and binding alike (CloudEvents §3.1)."""

from __future__ import annotations

import re

from notifier.errors import MalformedEvent

_UTF8 = ("utf-8", "utf8", "us-ascii", "ascii")
_TYPE = re.compile(r"[!#$&^_.+a-z0-9-]{1,127}/[!#$&^_.+a-z0-9-]{1,127}")


def media_type(content_type: str | None) -> str:
    """The type without parameters, in lower case: ``Application/JSON; charset=utf-8`` → ``application/json``."""
    return (content_type or "").partition(";")[0].strip().lower()


def is_media_type(media: str) -> bool:
    """Whether it is one at all (RFC 6838 §4.2)."""
    return _TYPE.fullmatch(media) is not None


def is_json(media: str) -> bool:
    """Whether data of this type is a JSON value; no type at all means JSON (CloudEvents JSON format §3.1)."""
    return media in ("", "application/json") or media.endswith(("/json", "+json"))


def check_charset(content_type: str | None) -> None:
    """Raises `MalformedEvent` unless the text is UTF-8 (JSON is nothing else, RFC 8259 §8.1)."""
    for parameter in (content_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip(" \"'").lower() not in _UTF8:
            raise MalformedEvent(
                f"charset {value.strip()[:40]!r}: only UTF-8 is read; publish the text as UTF-8", "datacontenttype"
            )
