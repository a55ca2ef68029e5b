"""What a relay's refusal means: one table (`reply_table`), asked about a refusal and about nothing else.

The enhanced code (``5.1.1``) is trusted over the basic one (``550``) when both are of the same class.
"""

from __future__ import annotations

import re
from functools import lru_cache

from notifier.engine.reply_class import ReplyClass
from notifier.engine.reply_table import TABLE
from notifier.engine.transaction import Phase, Rejected

__all__ = ["ReplyClass", "classify", "enhanced_code", "plain_words"]

#: Characters of a reply that are looked at; what a real one says stands in its first lines.
MOST_READ = 600

#: At its start as RFC 2034 wants it, or anywhere as qmail and IronPort write it: ``(#5.1.1)``, ``#5.1.0``.
_ENHANCED = re.compile(r"\W{0,2}([245]\.\d{1,3}\.\d{1,3})(?![\d.])|[^\n]*#([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_CODE_OF_LINE = re.compile(r"^\W{0,2}[245]\.\d{1,3}\.\d{1,3}(?![\d.])[ :-]*", re.MULTILINE)
_ADDRESS = re.compile(r"<?[^\s<>@]{0,80}@[^\s<>]*>?")


def enhanced_code(rejected: Rejected) -> str:
    """``5.1.1``, or nothing when there is none or its class contradicts the basic code."""
    return _enhanced(rejected.code, rejected.text[:MOST_READ])


def classify(rejected: Rejected) -> ReplyClass:
    """The class of a refusal."""
    return _meaning(rejected.phase, rejected.code, rejected.text[:MOST_READ])


def plain_words(text: str) -> str:
    """What a reply says, in lower case and one line, without enhanced codes and addresses: no name may decide."""
    return " ".join(_ADDRESS.sub(" ", _CODE_OF_LINE.sub("", text)).lower().replace("’", "'").split())


# One refusal is asked about by the breaker, by the rates and by the outcome.
@lru_cache(maxsize=256)
def _meaning(phase: Phase, code: int, text: str) -> ReplyClass:
    subject, words = _enhanced(code, text)[2:], plain_words(text)
    return next(row.meaning for row in TABLE if row.fits(phase, code, subject, words))


def _enhanced(code: int, text: str) -> str:
    found = _ENHANCED.match(text)
    if found is None:
        return ""
    enhanced = found[1] or found[2]
    return enhanced if int(enhanced[0]) == code // 100 else ""
