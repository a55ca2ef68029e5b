"""What a rule's `to` names → destinations, each once; what cannot be one is listed and never stops the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from notifier.domain.delivery import Destination, Mailbox, RecipientRef
from notifier.domain.ids import folded
from notifier.domain.mailboxes import SPECIALS, read_mailbox, read_mailboxes
from notifier.errors import InvalidAddress

#: RFC 5321 §4.5.3.1: 64 octets of local part, the @, 255 of domain.
MAX_ADDRESS = 320
MAX_RECIPIENT = 256
#: Names, locales and zones are for greeting and formatting; longer ones are cut, never refused.
MAX_TEXT = 256
_ID_BITS = 64
#: An address alone, as nearly all are: they need no reading, and a list may have 100,000.
_PLAIN = re.compile(r"[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9.-]{1,253}")
#: How address fields say nobody (RFC 5322 §3.4); it is no id: ``undisclosed-recipients:;``, and what is left of it.
_EMPTY_GROUP = re.compile(r"[^:]*:[^;]*;|undisclosed[-_ ]?recipients?\W*", re.IGNORECASE)
_EMPTY = "a group without members names nobody"
_RECIPIENT_KEYS = ("recipient", "id")
_ADDRESS_KEYS = ("email", "address")


@dataclass(frozen=True, slots=True)
class BadEntry:
    """An entry of `to` that cannot be a destination at all; ``reason`` carries types and sizes, never the value."""

    index: int
    reason: str


def destinations(value: Any) -> Iterator[Destination | BadEntry]:
    """Everything ``value`` names, in its order, each mailbox and id once. Yields, so a long list stays lean."""
    if value is None:
        return
    # Python hashes instead of identities would save 10 MB per 100,000 and could drop a person: not worth it.
    seen: set[str] = set()
    for index, entry in enumerate(value if isinstance(value, list | tuple) else (value,)):
        for found in _read(entry, index):
            if isinstance(found, BadEntry):
                yield found
            elif (same := _same(found)) not in seen:
                seen.add(same)
                yield found


def is_same(one: Destination, other: Destination) -> bool:
    """Whether both are one mailbox, or one id."""
    return _same(one) == _same(other)


def _same(found: Destination) -> str:
    """Equal for two spellings of one address: in capitals, with its domain in its own letters or as A-labels."""
    return folded(found.address) if isinstance(found, Mailbox) else found.identity


def _read(entry: Any, index: int) -> Sequence[Destination | BadEntry]:
    if isinstance(entry, str):
        if _PLAIN.fullmatch(entry):
            return (Mailbox(address=entry),)
        return _from_text(entry.strip(), index)
    if isinstance(entry, dict):
        return (_from_object(entry, index),)
    return (BadEntry(index, f"{_kind(entry)} names nobody: expected an address, an id or an object"),)


def _from_text(text: str, index: int) -> Sequence[Destination | BadEntry]:
    if "@" not in text:
        if _EMPTY_GROUP.fullmatch(text):
            return (BadEntry(index, _EMPTY),)
        if text.endswith(">"):
            return (BadEntry(index, "what stands in < and > is no address: it has no @"),)
        return (_recipient(text, index),)
    if not SPECIALS.search(text):
        return (_mailbox(text, "", {}, index),)
    try:
        found = read_mailboxes(text)
    except InvalidAddress as error:
        return (BadEntry(index, str(error)),)
    if not found:
        return (BadEntry(index, _EMPTY),)
    return [_mailbox(named.address, named.name, {}, index) for named in found]


def _from_object(entry: dict[Any, Any], index: int) -> Destination | BadEntry:
    address = _first(entry, _ADDRESS_KEYS)
    if address is None:
        reference = _first(entry, _RECIPIENT_KEYS)
        if reference is None:
            return BadEntry(index, "an object without email, address, recipient or id names nobody")
        reference = _number_as_text(reference)
        if not isinstance(reference, str):
            return BadEntry(index, f"a recipient id must be text, not {_kind(reference)}")
        return _recipient(reference.strip(), index)
    if not isinstance(address, str):
        return BadEntry(index, f"an address must be text, not {_kind(address)}")
    if _PLAIN.fullmatch(address):
        return _known(address, "", entry)
    if not SPECIALS.search(address):
        return _mailbox(address.strip(), "", entry, index)
    try:
        named = read_mailbox(address)
    except InvalidAddress as error:
        return BadEntry(index, str(error))
    return _mailbox(named.address, named.name, entry, index)


def _mailbox(address: str, name: str, entry: dict[Any, Any], index: int) -> Destination | BadEntry:
    """A malformed address is kept: the channel refuses that delivery, so that it is seen under its own id."""
    if not 3 <= len(address) <= MAX_ADDRESS:
        return BadEntry(index, f"an address has 3 to {MAX_ADDRESS} characters, this one {len(address)}")
    if not _encodable(address):
        return BadEntry(index, "an address with half a surrogate pair is not text")
    return _known(address, name, entry)


def _known(address: str, name: str, entry: dict[Any, Any]) -> Mailbox:
    return Mailbox(
        address=address,
        name=_text(entry.get("name")) or (name and _text(name)),
        locale=_text(entry.get("locale")),
        timezone=_text(entry.get("timezone")),
        recipient=_text(_first(entry, _RECIPIENT_KEYS)),
    )


def _recipient(reference: str, index: int) -> Destination | BadEntry:
    if not 1 <= len(reference) <= MAX_RECIPIENT:
        return BadEntry(index, f"a recipient id has 1 to {MAX_RECIPIENT} characters, this one {len(reference)}")
    if not _encodable(reference) or not reference.isprintable():
        return BadEntry(index, "a recipient id with control characters is not an id")
    return RecipientRef(recipient=reference)


def _first(entry: dict[Any, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        if (value := entry.get(key)) is not None:
            return value
    return None


def _text(value: Any) -> str:
    """Optional text of a person; anything but text, a number or nothing is left out rather than guessed at."""
    if value is None:
        return ""
    value = _number_as_text(value)
    return value[:MAX_TEXT] if isinstance(value, str) and _encodable(value) else ""


def _number_as_text(value: Any) -> Any:
    """Ids are often numbers; one of more than 64 bits is none (and Python refuses to write out 4,300 digits)."""
    is_id = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _ID_BITS
    return str(value) if is_id else value


def _encodable(text: str) -> bool:
    """Lone surrogates can be written in JSON and in no UTF-8 message; they would crash the publisher."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: Any) -> str:
    """The JSON word for a value's type, for error texts that must not show the value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"
