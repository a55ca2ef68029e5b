"""Whom an entry of `to` means in a rule of a channel file: people by id, or by what the file calls their address."""

from __future__ import annotations

import re
from typing import Any

from notifier.domain.contacts import MAX_ADDRESS, PHONE, parse_contact
from notifier.domain.delivery import Contact, RecipientRef
from notifier.errors import InvalidAddress
from notifier.rules.audience import BadEntry, first, is_encodable, kind_of, number_as_text, recipient, text_of

_RECIPIENT_KEYS = ("recipient", "id")
#: A number as it is dialled within a country; no id begins so.
_DIALLED = re.compile(r"\(?0[0-9 ()./-]{6,}")


def contact(entry: Any, index: int, kind: str) -> Contact | RecipientRef | BadEntry:
    """A text is an id; with ``to: phone`` also a number. An object has the address under its name, or an id."""
    entry = number_as_text(entry)
    if isinstance(entry, str):
        return _from_text(entry.strip(), index, kind)
    if not isinstance(entry, dict):
        return BadEntry(index, f"{kind_of(entry)} names nobody: expected an id, an object or a number to call")
    addresses = entry.get("addresses")
    given = first(entry, (kind,)) or (addresses.get(kind) if isinstance(addresses, dict) else None)
    if given is None:
        reference = number_as_text(first(entry, _RECIPIENT_KEYS))
        if not isinstance(reference, str):
            return BadEntry(index, f"an object without {kind}, recipient or id names nobody")
        return recipient(reference.strip(), index, kind)
    if not isinstance(given, str):
        return BadEntry(index, f"{kind} must be text, not {kind_of(given)}")
    return _contact(given, entry, index, kind)


def _from_text(text: str, index: int, kind: str) -> Contact | RecipientRef | BadEntry:
    if kind == PHONE and text.startswith("+"):
        return _contact(text, {}, index, kind)
    if kind == PHONE and _DIALLED.fullmatch(text):
        return BadEntry(index, "a phone number begins with + and the country code (E.164)")
    if "@" in text:
        return BadEntry(index, f"a mail address names nobody here: expected an id, or an object with {kind}")
    return recipient(text, index, kind)


def _contact(written: str, entry: dict[Any, Any], index: int, kind: str) -> Contact | BadEntry:
    """A malformed one is kept: the channel refuses that delivery, so that it is seen under its own id."""
    if not 1 <= len(written.strip()) <= MAX_ADDRESS or not is_encodable(written):
        return BadEntry(index, f"{kind} must be a text of 1 to {MAX_ADDRESS} characters")
    try:
        at = parse_contact(kind, written)
    except InvalidAddress:
        at = written.strip()
    named = {key: text_of(entry.get(key)) for key in ("name", "locale", "timezone")}
    return Contact(contact=kind, at=at, **named)
