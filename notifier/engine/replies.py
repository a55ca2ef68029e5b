"""What a relay's refusal is about: us, our speed, or the mail (RFC 3463, RFC 5321).

The enhanced code (``5.1.1``) is trusted over the basic one (``550``) when both are of the same class.
"""

from __future__ import annotations

import re
from enum import StrEnum

from notifier.engine.transaction import Phase, Rejected


class ReplyClass(StrEnum):
    """What a refusal means, by (phase, code, enhanced code, words); what follows from each is its line here."""

    NO_MAILBOX = "no_mailbox"
    """The mailbox or its domain does not exist: refused, and the address is suppressed."""
    MAIL_REFUSED = "mail_refused"
    """This mail or its recipient, for good (policy, content, size, disabled): refused, and nobody else's."""
    NOT_NOW = "not_now"
    """This mail or its recipient, for now (mailbox full or busy, local error): the retry schedule."""
    GREYLISTED = "greylisted"
    """A stranger's first try: this mail again after some minutes; no rate is learned."""
    DOMAIN_RATE = "domain_rate"
    """Too fast for the recipient's domain: its rate goes down."""
    RELAY_RATE = "relay_rate"
    """Too fast or too much for the relay: its rate goes down."""
    CONNECTIONS = "connections"
    """More connections than the relay serves: fewer; no try is spent while others work, and no rate is learned."""
    USED_UP = "used_up"
    """This connection has carried its mails: the same mail once on a new one."""
    SENDER_REFUSED = "sender_refused"
    """We may not send as this sender: mails of that sender wait, nobody else's."""
    LOGIN = "login"
    """Our login is missing or wrong: the relay is paused at once."""
    CLIENT_REFUSED = "client_refused"
    """Our host, its name or its network may not send here, whoever the recipient is: counts against the relay."""
    DIALOGUE = "dialogue"
    """A command or parameter it does not understand or expect (500-504, 555): again, plainly; then about us."""
    RELAY_ILL = "relay_ill"
    """The relay itself is unwell or closing (421, 4.3.x of the system): counts against it, another may take over."""


#: Basic codes that speak of our login, with or without an enhanced code.
LOGIN_CODES = frozenset({530, 534, 535, 538})
#: Basic codes with which relays say that we are too fast, if their words say so.
RATE_CODES = frozenset({450, 451, 452, 454})

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_RATE_WORDS = re.compile(r"\brate\b|\bthrottl|\btoo (?:many|fast|much)\b", re.IGNORECASE)
#: A relay that passes on what the recipient's server said; without such words it is taken to speak of itself.
_RECIPIENT_WORDS = re.compile(r"\b(?:recipient|user|mailbox|domain|destination|remote)\b", re.IGNORECASE)
_WITH_RECIPIENT = frozenset({Phase.RCPT, Phase.DATA, Phase.DOT})
_CLOSING = 421
_ABOUT_US = frozenset({Phase.CONNECT, Phase.AUTH})


def enhanced_code(rejected: Rejected) -> str:
    """``5.1.1``, or nothing when there is none or its class contradicts the basic code."""
    found = _ENHANCED.match(rejected.text)
    return found[0] if found and int(found[1]) == rejected.code // 100 else ""


def classify(rejected: Rejected) -> ReplyClass:
    """The class of a refusal."""
    if rejected.code in LOGIN_CODES or (rejected.phase is Phase.AUTH and rejected.code >= 500):
        return ReplyClass.LOGIN
    if 500 <= rejected.code <= 504 or rejected.code == 555:
        return ReplyClass.DIALOGUE
    if rejected.code >= 500:
        if rejected.phase is Phase.CONNECT:
            return ReplyClass.CLIENT_REFUSED
        return ReplyClass.SENDER_REFUSED if rejected.phase is Phase.MAIL else ReplyClass.MAIL_REFUSED
    if rejected.code == 452 and enhanced_code(rejected) == "4.5.3":
        return ReplyClass.USED_UP
    return ReplyClass.RELAY_ILL if rejected.code == _CLOSING else ReplyClass.NOT_NOW


def is_throttled(rejected: Rejected) -> bool:
    """Whether it says that we are too fast."""
    return (
        rejected.code == _CLOSING
        or enhanced_code(rejected).startswith("4.7.")
        or (rejected.code in RATE_CODES and _RATE_WORDS.search(rejected.text) is not None)
    )


def is_about_recipient(rejected: Rejected) -> bool:
    """Whether a relay that throttles speaks of the recipient's side, so that mails to others may go on."""
    return (
        rejected.code != _CLOSING
        and rejected.phase in _WITH_RECIPIENT
        and _RECIPIENT_WORDS.search(rejected.text) is not None
    )


def is_about_us(rejected: Rejected) -> bool:
    """Whether it is our login or policy that it refuses for good, whoever the recipient is."""
    if rejected.code < 500:
        return False
    return rejected.phase in _ABOUT_US or rejected.code in LOGIN_CODES or enhanced_code(rejected).startswith("5.7.")
