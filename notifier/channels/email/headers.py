"""Header fields as bytes-to-be: folded, encoded (RFC 2047) and unable to contain another header.

Field names come from our own code. Of a value, every run of white space and control characters becomes one space before
anything else happens, so no line break can be in it, encoded or not: Python 3.11.7 turns ``=?utf-8?q?a=0ABcc…?=`` back
into a header of its own, and so may others. What looks like an encoded word is encoded itself and so stays text.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence

#: RFC 5322 §2.1.1: lines should have at most 78 characters; RFC 2047 §2: 76 when they hold an encoded word.
LINE = 76
#: A word without a place to fold beyond this is encoded, which can be folded anywhere (lines may have 998 at most).
LONGEST_WORD = 900

_BLANKS = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
#: Display names beyond this are encoded: a quoted string may not be folded inside a word.
LONGEST_QUOTED = 60
#: Bytes of a display name in UTF-8; the rest is cut off. Sendmail writes longer fields anew, and the signature breaks.
LONGEST_NAME = 100


def clean(text: str) -> str:
    """One line of real characters: no control characters or line ends, no lone surrogates, no doubled spaces."""
    if not text.isprintable() or "  " in text:
        text = _SURROGATES.sub("\ufffd", _BLANKS.sub(" ", text))
    return text.strip()


def unstructured(name: str, text: str) -> str:
    """A field whose value is free text, such as Subject, with its line end."""
    value = clean(text)
    if not value.isascii() or "=?" in value:
        return f"{name}: {encoded_words(value, len(name) + 2)}\r\n"
    if len(name) + 2 + len(value) <= LINE:
        return f"{name}: {value}\r\n"
    words = value.split(" ")
    if max(map(len, words)) > LONGEST_WORD:
        return f"{name}: {encoded_words(value, len(name) + 2)}\r\n"
    return f"{name}: {_folded(words, len(name) + 2)}\r\n"


def mailbox(name: str, display: str, address: str) -> str:
    """A field with one mailbox, such as To: ``display <address>``, with its line end.

    In a name every white space is one space: readers fold them differently, and a name pads nothing.
    """
    if not display:
        return f"{name}: {address}\r\n"
    # Nearly every name: a fifth of the time of the general way, with which it agrees (property test). Remembering
    # fields helps nobody: the next mail is to somebody else.
    if len(name) + len(display) + len(address) + 5 <= LINE and "=?" not in display and _ATOMS.fullmatch(display):
        return f"{name}: {display} <{address}>\r\n"
    return _any_mailbox(name, display, address)


def mailboxes(name: str, people: Sequence[tuple[str, str]]) -> str:
    """A field with several mailboxes, such as Cc, one on a line; nothing for nobody."""
    if not people:
        return ""
    # Each as a field of its own, whose name then goes; what it adds to the first line is less than a name's length.
    written = [_any_mailbox(name, display, address)[len(name) + 2 : -2] for display, address in people]
    return f"{name}: " + ",\r\n ".join(written) + "\r\n"


def _any_mailbox(name: str, display: str, address: str) -> str:
    phrase = _phrase(_shortened(" ".join(clean(display).split())), len(name) + 2)
    if not phrase:
        return f"{name}: {address}\r\n"
    last_line = len(phrase) - phrase.rfind("\n") - 1 + (0 if "\n" in phrase else len(name) + 2)
    separator = " " if last_line + 3 + len(address) <= LINE else "\r\n "
    return f"{name}: {phrase}{separator}<{address}>\r\n"


def encoded_words(text: str, used: int) -> str:
    """``text`` as RFC 2047 base64 words of at most 75 characters, each on its own line; ``used`` is what stands before.

    A word ends between characters, never inside one (RFC 2047 §5).
    """
    data = text.encode()
    words = []
    start = 0
    while start < len(data):
        room = max((LINE - used - len("=?utf-8?b??=")) // 4 * 3, 6)
        end = min(start + room, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        words.append("=?utf-8?b?" + binascii.b2a_base64(data[start:end], newline=False).decode() + "?=")
        start = end
        used = 1
    return "\r\n ".join(words)


def _shortened(display: str) -> str:
    """At most `LONGEST_NAME` bytes, cut between characters."""
    if len(display) * 4 <= LONGEST_NAME:
        return display
    return display.encode()[:LONGEST_NAME].decode(errors="ignore").rstrip()


def _phrase(display: str, used: int) -> str:
    if not display:
        return ""
    if not display.isascii() or "=?" in display or len(display) > LONGEST_QUOTED:
        return encoded_words(display, used)
    if _ATOMS.fullmatch(display):
        return display
    escaped = display.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _folded(words: list[str], used: int) -> str:
    lines = []
    line = words[0]
    for word in words[1:]:
        if used + len(line) + 1 + len(word) > LINE:
            lines.append(line)
            line, used = word, 1
        else:
            line += " " + word
    return "\r\n ".join([*lines, line])
