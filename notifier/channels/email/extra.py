"""`Extra`: what a rule's `cc`, `reply_to`, `thread` and `headers` put into a mail, read from what they gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from notifier.domain.addresses import read_address
from notifier.domain.delivery import Mailbox
from notifier.domain.ids import thread_id
from notifier.domain.value import value
from notifier.errors import InvalidAddress, InvalidHeader
from notifier.rules.destinations import destinations
from notifier.rules.mailkeys import MailValues

#: Addresses in one Reply-To; a mail program offers them all.
MAX_REPLY_TO = 10
#: Characters of a header a rule adds.
MAX_HEADER = 2000
#: Characters of what names a thread, as for other keys.
MAX_THREAD = 256
#: More bits than any id has; Python refuses to write out much larger numbers.
_NUMBER_BITS = 128

Person = tuple[str, str]
"""Display name and address."""


@value
class Extra:
    """Fields that most mails have not."""

    cc: tuple[Person, ...] = ()
    reply_to: tuple[Person, ...] = ()
    parent: str = ""
    """Message-ID of what the mail answers as far as mail programs know; no such mail has to exist."""
    headers: tuple[tuple[str, str], ...] = ()
    smtputf8: bool = False
    """One of the addresses is not ASCII."""


NO_EXTRA = Extra()


def read_extra(values: MailValues, tenant: str, hostname: str, *, where: str) -> Extra:
    """Raises `InvalidHeader` that names ``where`` and what is wrong, never the value."""
    people, smtputf8 = _people(values.reply_to, f"{where}: reply_to")
    thread = _text(values.thread, f"{where}: thread", MAX_THREAD)
    headers = [(name, _text(given, f"{where}: header {name}", MAX_HEADER)) for name, given in values.headers]
    return Extra(
        reply_to=people,
        parent=f"<{thread_id(tenant, thread)}@{hostname}>" if thread else "",
        headers=tuple((name, text) for name, text in headers if text),
        smtputf8=smtputf8,
    )


def shown(people: Sequence[Mailbox]) -> tuple[tuple[Person, ...], bool]:
    """People as a header shows them, and whether that needs SMTPUTF8. Raises `InvalidAddress`."""
    addresses = [read_address(one.address) for one in people]
    written = tuple((one.name, address.envelope) for one, address in zip(people, addresses, strict=True))
    return written, any(address.smtputf8 for address in addresses)


def _people(given: Any, where: str) -> tuple[tuple[Person, ...], bool]:
    found = list(destinations(given)) if given not in ("", None) else []
    if len(found) > MAX_REPLY_TO:
        raise InvalidHeader(f"{where} names {len(found)} addresses, at most {MAX_REPLY_TO}")
    people = [one for one in found if isinstance(one, Mailbox)]
    if len(people) < len(found):
        wrong = next(one for one in found if not isinstance(one, Mailbox))
        reason = getattr(wrong, "reason", "a recipient's id is not read here, write the address")
        raise InvalidHeader(f"{where}: {reason}")
    try:
        return shown(people)
    except InvalidAddress as error:
        raise InvalidHeader(f"{where}: {error}") from error


def _text(given: Any, where: str, most: int) -> str:
    """Text or a number; nothing and null leave the field out."""
    if given is None:
        return ""
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise InvalidHeader(f"{where}: expected text or a number, not {type(given).__name__}")
    if isinstance(given, int) and given.bit_length() > _NUMBER_BITS:
        raise InvalidHeader(f"{where}: a number of {given.bit_length()} bits is none that stands in a header")
    text = str(given).strip()
    if len(text) > most:
        raise InvalidHeader(f"{where}: has {len(text)} characters, at most {most}")
    return text
