"""What a rule's `to` names → destinations, each once; what cannot be one is listed and never stops the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from notifier.domain.delivery import Destination, Mailbox
from notifier.domain.ids import folded
from notifier.domain.mailboxes import SPECIALS, read_mailbox, read_mailboxes
from notifier.errors import InvalidAddress
from notifier.rules.audience import BadEntry, first, is_encodable, kind_of, number_as_text, recipient, text_of
from notifier.rules.contacts import contact

#: RFC 5321 §4.5.3.1: 64 octets of local part, the @, 255 of domain.
MAX_ADDRESS = 320
#: An address alone, as nearly all are: they need no reading, and a list may have 100,000.
_PLAIN = re.compile(r"[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9.-]{1,253}")
#: How address fields say nobody (RFC 5322 §3.4); it is no id: ``undisclosed-recipients:;``, and what is left of it.
_EMPTY_GROUP = re.compile(r"[^:]*:[^;]*;|undisclosed[-_ ]?recipients?\W*", re.IGNORECASE)
_EMPTY = "a group without members names nobody"
_RECIPIENT_KEYS = ("recipient", "id")
_ADDRESS_KEYS = ("email", "address")


def destinations(value: Any, kind: str = "") -> Iterator[Destination | BadEntry]:
    """Everything ``value`` names, in its order, each mailbox and id once. Yields, so a long list stays lean.

    ``kind`` is which addresses a channel file wants; mailboxes when it is empty.
    """
    if value is None:
        return
    # Python hashes instead of identities would save 10 MB per 100,000 and could drop a person: not worth it.
    seen: set[str] = set()
    for index, entry in enumerate(value if isinstance(value, list | tuple) else (value,)):
        for found in (contact(entry, index, kind),) if kind else _read(entry, index):
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
    return (BadEntry(index, f"{kind_of(entry)} names nobody: expected an address, an id or an object"),)


def _from_text(text: str, index: int) -> Sequence[Destination | BadEntry]:
    if "@" not in text:
        if _EMPTY_GROUP.fullmatch(text):
            return (BadEntry(index, _EMPTY),)
        if text.endswith(">"):
            return (BadEntry(index, "what stands in < and > is no address: it has no @"),)
        return (recipient(text, index),)
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
    address = first(entry, _ADDRESS_KEYS)
    if address is None:
        reference = first(entry, _RECIPIENT_KEYS)
        if reference is None:
            return BadEntry(index, "an object without email, address, recipient or id names nobody")
        reference = number_as_text(reference)
        if not isinstance(reference, str):
            return BadEntry(index, f"a recipient id must be text, not {kind_of(reference)}")
        return recipient(reference.strip(), index)
    if not isinstance(address, str):
        return BadEntry(index, f"an address must be text, not {kind_of(address)}")
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
    if not is_encodable(address):
        return BadEntry(index, "an address with half a surrogate pair is not text")
    return _known(address, name, entry)


def _known(address: str, name: str, entry: dict[Any, Any]) -> Mailbox:
    return Mailbox(
        address=address,
        name=text_of(entry.get("name")) or (name and text_of(name)),
        locale=text_of(entry.get("locale")),
        timezone=text_of(entry.get("timezone")),
        recipient=text_of(first(entry, _RECIPIENT_KEYS)),
    )
