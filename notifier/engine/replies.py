"""What a relay's refusal is about: us, our speed, or the mail (RFC 3463, RFC 5321).

The enhanced code (``5.1.1``) is trusted over the basic one (``550``) when both are of the same class.
"""

from __future__ import annotations

import re

from notifier.engine.transaction import Phase, Rejected

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
