"""Where people are reached by other channels than mail: phone numbers, and addresses that only one provider knows.

The one verdict on a phone number: of a rule's `to`, of recipients and of what is sent. Errors never quote it: they end
up in logs.
"""

from __future__ import annotations

import re

from notifier.errors import InvalidAddress

#: The kind whose form everybody agrees about.
PHONE = "phone"
#: Names that a provider's addresses cannot have: they are other things of a recipient.
RESERVED = frozenset(
    (
        *("email", "address", "addresses", "recipient", "id", "name", "locale", "timezone"),
        # How identities of other destinations begin.
        *("mailto", "endpoint", "channel", "tel"),
    )
)
#: Characters of any other address: a URL, a token of a push service, a room's id.
MAX_ADDRESS = 2048
#: Addresses of one recipient, a kind each.
MAX_KINDS = 20

KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
#: ITU-T E.164 §6: at most 15 digits, the country code first, which never begins with 0. The shortest numbers in use
#: have 7.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
#: What people put between digits; a trunk prefix ``(0)`` is none: it is not dialled behind a country code.
_BETWEEN = re.compile(r"[ \u00a0().-]")
_TRUNK = re.compile(r"\(\s*0\s*\)")


def parse_phone(text: str) -> str:
    """``+49 170 1234567`` as ``+491701234567``. Raises `InvalidAddress`."""
    written = text.strip()
    if _TRUNK.search(written):
        raise InvalidAddress("not a phone number: (0) is not dialled behind a country code; leave it out")
    number = _BETWEEN.sub("", written)
    if not number.startswith("+"):
        raise InvalidAddress("not a phone number: it begins with + and the country code, such as +49 (E.164)")
    if not _E164.fullmatch(number):
        raise InvalidAddress("not a phone number: + and 7 to 15 digits, the first of them not 0 (E.164)")
    return number


def parse_contact(kind: str, text: str) -> str:
    """The one spelling of an address of this kind. Raises `InvalidAddress`."""
    if kind == PHONE:
        return parse_phone(text)
    address = text.strip()
    if not address:
        raise InvalidAddress(f"an address of kind {kind} is empty")
    if len(address) > MAX_ADDRESS:
        raise InvalidAddress(f"an address of kind {kind} has {len(address):,} characters, at most {MAX_ADDRESS:,}")
    if not address.isprintable() or any(0xD800 <= ord(c) <= 0xDFFF for c in address):
        raise InvalidAddress(f"an address of kind {kind} has control characters")
    return address


def contact_identity(kind: str, address: str) -> str:
    """What makes two of them the same one; part of delivery ids, so it never changes (RFC 3966 for numbers)."""
    return f"tel:{address}" if kind == PHONE else f"{kind}:{address}"


def masked_contact(kind: str, address: str) -> str:
    """As people and logs may see it: ``+49…67``, ``slack:…``."""
    if kind == PHONE:
        return f"{address[:3]}…{address[-2:]}"
    return f"{kind}:…" if address else kind
