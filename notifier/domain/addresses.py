"""Email addresses as they may stand in an SMTP command and a header; everything else is an `InvalidAddress`.

The one verdict on an address: of a rule's `to`, `cc` and `from`, of ``format: email`` in a schema, of recipients,
suppressions and settings, and of what is sent. Not taken although RFC 5321 §4.1.2 and §4.1.3 allow them: quoted local
parts and IP addresses in brackets; no provider gives such a mailbox, and they are how commands are smuggled.

Domains travel as IDNA A-labels, which every relay understands. A non-ASCII local part has no such form: it needs
SMTPUTF8 from the relay (RFC 6531). Errors never quote the address: they end up in logs.
"""

from __future__ import annotations

import re
from functools import lru_cache

import email_validator
from email_validator import EmailNotValidError, validate_email

from notifier.domain.mailboxes import SPECIALS, read_mailbox
from notifier.domain.value import value
from notifier.errors import InvalidAddress

#: Addresses whose reading by the library is remembered: it takes 30 µs for one, and events name the same people again.
REMEMBERED = 5_000

#: Companies do have mail on ``.local`` and on the machine itself; whether it can be delivered is the relay's business.
#: The library documents this list as the way to say so.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

#: What nearly every address looks like, read in 1 µs; the library takes 30 and agrees (property test). Labels with a
#: hyphen in the third and fourth place are left to it: they may be IDNA.
_PLAIN = re.compile(
    r"[A-Za-z0-9_](?:[A-Za-z0-9_+-]|\.(?=[A-Za-z0-9_+-])){0,63}"
    r"@(?=.{1,253}$)(?:(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
#: Quotes around what needs none mean the same without (RFC 5321 §4.1.2), and readers of address fields take them off.
_QUOTED = re.compile(r'"([^"\\]+)"(@[^"]+)')
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]")


@value
class Address:
    """An address that can be written into a command and a header as it is."""

    envelope: str
    """``local@domain`` with the domain as A-labels."""
    smtputf8: bool
    """The local part is not ASCII."""


@value
class FromMailbox:
    """Who a mail is from."""

    name: str
    address: Address


def parse_address(text: str) -> Address:
    """Raises `InvalidAddress` with the reason. Spaces around it are not part of an address."""
    address = text.strip(" ")
    if _PLAIN.fullmatch(address) and len(address) <= 254:
        local, _, domain = address.rpartition("@")
        return Address(f"{local}@{domain.lower()}", smtputf8=False)
    return _parse_any(address)


@lru_cache(maxsize=REMEMBERED)
def _parse_any(address: str) -> Address:
    if quoted := _QUOTED.fullmatch(address):
        address = quoted[1] + quoted[2]
    if SPECIALS.search(address):
        raise InvalidAddress("one address alone is wanted here, without a name, brackets, commas or quotes")
    if _UNSAFE.search(address):
        several = "; several addresses need a comma or semicolon between them" if address.count("@") > 1 else ""
        raise InvalidAddress(f"the address contains a control character or a space{several}")
    try:
        # No DNS look-up here: it would stop the hub, and the relay knows better. Names inside a company network have
        # no dot, so what is not globally deliverable is still an address.
        parsed = validate_email(address, check_deliverability=False, globally_deliverable=False)
    except (EmailNotValidError, UnicodeError) as error:
        raise InvalidAddress(f"not an email address: {error}") from error
    envelope = f"{parsed.ascii_local_part or parsed.local_part}@{parsed.ascii_domain}"
    if len(envelope.encode()) > 254:
        raise InvalidAddress("the address is longer than 254 bytes, the most an SMTP path carries")
    return Address(envelope, smtputf8=not envelope.isascii())


def read_address(text: str) -> Address:
    """An address as people and programs write it down: white space around it is no part of it, a line end neither.

    Raises `InvalidAddress`.
    """
    return parse_address(text.strip())


def is_address(text: str) -> bool:
    """Whether mails can be sent to it, which is what ``format: email`` in a schema asks."""
    try:
        read_address(text)
    except InvalidAddress:
        return False
    return True


@lru_cache(maxsize=256)
def parse_sender(text: str) -> FromMailbox:
    """Read ``Name <address>`` or an address alone. Raises `InvalidAddress`."""
    named = read_mailbox(text)
    return FromMailbox(named.name, read_address(named.address))
