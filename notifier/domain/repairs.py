"""What is mended of JSON that strict readers refuse: a byte order mark, and characters that were cut in two.

RFC 8259 §8.1 lets a reader skip the mark, and §8.2 leaves it open what half a surrogate pair means. Both come of
publishers that are right in all else: .NET's default encoding, and ``text.slice(0, 12)`` of JavaScript.
"""

from __future__ import annotations

import codecs
import re

MARK = "a byte order mark was skipped"
HALF = "half an emoji (a surrogate without its other half) becomes U+FFFD"

#: An escape with what it stands for. Whole pairs and `\\\\` are passed over, so that what is left is half a pair.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
#: The same in bytes, as Java's and older JavaScript's writers make it: pairs as two characters of three bytes each.
_THREE_BYTES = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"{\x00", b"\x00{", b"[\x00", b"\x00[")


def mended(body: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The JSON without what can be mended of it, and what that was; the same object when it is nothing."""
    unmarked = body.removeprefix(codecs.BOM_UTF8)
    whole = whole_characters(unmarked)
    said = [MARK] if unmarked is not body else []
    return whole, (*said, HALF) if whole is not unmarked else tuple(said)


def whole_characters(body: bytes) -> bytes:
    """The JSON with U+FFFD for each half of a surrogate pair; the same object when there is none."""
    whole = body
    if _THREE_BYTES.search(body):
        try:
            text = body.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return body
        # By UTF-16 the two halves of a pair find each other.
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    if b"\\u" in whole:
        escaped = _ESCAPE.sub(lambda match: b"\\ufffd" if match[1] else match[0], whole)
        whole = whole if escaped == whole else escaped
    return whole


def unreadable(body: bytes) -> str:
    """Why this is no text that anything could be read of; empty when it is UTF-8."""
    if body.startswith(_UTF_16):
        return "the text is UTF-16, and only UTF-8 is read: write it as UTF-8"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"the text is not UTF-8: {error.reason} at byte {error.start}"
    return ""
