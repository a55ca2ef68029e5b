"""Texts that name people, as they stand in address fields → mailboxes. Every address written in a text is read here.

By the standard library (RFC 5322 §3.4): names, quoted names, comments, groups, encoded words. Beyond it a semicolon
separates as well, because Outlook writes lists so, and one ``Name, Anything <address>`` is read without its quotes.
Not `email.utils.getaddresses`: 3.11 and 3.13 read the same text differently, and it makes two addresses of some that
are one mistake (CVE-2023-27043).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email import errors
from email.headerregistry import HeaderRegistry
from typing import Any, NamedTuple

from notifier.errors import InvalidAddress

#: Longer texts belong into a list: the library takes 0.2 ms for an address, and a consumer waits for it.
MAX_TEXT = 2048

#: What makes a text more than one address alone.
SPECIALS = re.compile(r'[,;<>()":]')
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_QUOTED = r'"(?:[^"\\]|\\.)*"|\((?:[^()\\]|\\.)*\)|<[^<>]*>'
_PROTECTED = re.compile(_QUOTED)
_PROTECTED_OR_END = re.compile(rf"{_QUOTED}|;")
#: ``Name <address>`` as nearly everybody writes it, read in 1 µs; the library takes 400 and agrees (property test).
_SIMPLE = re.compile(r"""([^\x00-\x1f"(),:;<>@\[\]\\?]*)<([A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9.-]+)>""")
_UNQUOTED_NAME = re.compile(r'([^<>"]*)<([^<>\s]+)>')
_HOW = "write a@example.org or Name <a@example.org>, with , or ; between several, and other signs of a name in quotes"
#: Only oddities of old mails: a period in a name, an empty place between commas, a route before an address.
_HARMLESS = (errors.ObsoleteHeaderDefect, errors.NonASCIILocalPartDefect)
#: What the library's parser is known to raise instead of noting a defect.
_PARSER_ERRORS = (errors.MessageError, ValueError, IndexError, AttributeError, TypeError, NameError, RecursionError)

_header: Callable[[str, str], Any] = HeaderRegistry()


class Named(NamedTuple):
    """A mailbox: a display name, which may be empty, and an address, which `domain.addresses` checks."""

    name: str
    address: str


def read_mailboxes(text: str) -> tuple[Named, ...]:
    """Everybody ``text`` names; groups as their members. Raises `InvalidAddress`, which does not quote it."""
    text = text.strip()
    if len(text) > MAX_TEXT:
        raise InvalidAddress(f"a text of {len(text)} characters is no address; give a list of addresses")
    if _CONTROLS.search(text):
        raise InvalidAddress("an address cannot contain a line end or another control character")
    if not SPECIALS.search(text):
        return (Named("", text),)
    if simple := _SIMPLE.fullmatch(text):
        return (Named(" ".join(simple[1].split()), simple[2]),)
    found = _parsed(_with_commas(text))
    if found is None:
        if text.count("@") == 1 and (one := _UNQUOTED_NAME.fullmatch(text)):
            return (Named(one[1].strip(), one[2]),)
        raise InvalidAddress(f"cannot be read as addresses; {_HOW}")
    return found


def read_mailbox(text: str) -> Named:
    """The one mailbox ``text`` names. Raises `InvalidAddress`."""
    found = read_mailboxes(text)
    if len(found) != 1:
        raise InvalidAddress(f"one address is wanted here, and these are {len(found)}")
    return found[0]


def _with_commas(text: str) -> str:
    outside = _PROTECTED.sub("", text)
    if ";" not in outside or ":" in outside:  # behind a colon a semicolon ends the group
        return text
    return _PROTECTED_OR_END.sub(lambda match: "," if match[0] == ";" else match[0], text)


def _parsed(text: str) -> tuple[Named, ...] | None:
    """None for what has a mistake in it: the library would leave out or invent people."""
    try:
        header = _header("to", text)
        if not all(isinstance(defect, _HARMLESS) for defect in header.defects):
            return None
        found = tuple(Named(one.display_name.strip(), one.addr_spec) for one in header.addresses)
    except _PARSER_ERRORS:
        return None
    return found if all(one.address.count("@") and one.address != "<>" for one in found) else None
