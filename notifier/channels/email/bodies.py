"""The parts of a mail as bytes: CRLF line ends only, lines short enough for every relay, seven bits only.

Seven bits, because a relay that does not offer 8BITMIME may refuse or mangle eight, and because DKIM must survive.
"""

from __future__ import annotations

import binascii
import re

from notifier.domain.value import value

#: RFC 5322 §2.1.1: a line has at most 998 characters before its CRLF.
LONGEST_LINE = 998
#: Characters of base64 on one line (RFC 2045 §6.8).
BASE64_LINE = 76

_ORDINARY = b"\t\n" + bytes(range(0x20, 0x7F))
_SURROGATES = re.compile("[\ud800-\udfff]")


@value
class MimePart:
    """One part: the headers that describe it (each with its line end), and its encoded content, ending in CRLF."""

    headers: str
    content: bytes
    literal: bool = False
    """The content is as it was written, so it could contain anything, also a boundary."""


def text_part(subtype: str, text: str) -> MimePart:
    """``text/plain`` or ``text/html`` in the shortest encoding that survives every relay."""
    lines = _lf(text)
    if lines.isascii() and _travels_as_it_is(plain := lines.encode("ascii")):
        headers = f"Content-Type: text/{subtype}; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n"
        return MimePart(headers, plain.replace(b"\n", b"\r\n"), literal=True)
    data = _utf8(lines.replace("\n", "\r\n"))
    quoted, name = _shorter(data)
    headers = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {name}\r\n"
    return MimePart(headers, quoted)


def base64_lines(data: bytes) -> bytes:
    """RFC 2045 base64 with a CRLF after each line; 4 times faster than the line-by-line `base64.encodebytes`."""
    encoded = binascii.b2a_base64(data, newline=False)
    if len(encoded) <= BASE64_LINE:
        return encoded + b"\r\n"
    return b"\r\n".join([encoded[i : i + BASE64_LINE] for i in range(0, len(encoded), BASE64_LINE)]) + b"\r\n"


def _lf(text: str) -> str:
    """Every kind of line end as LF, and one at the end; it leaves as CRLF. A lone CR can smuggle commands."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else text + "\n"


def _utf8(text: str) -> bytes:
    """Lone surrogates, which JSON may carry and UTF-8 may not, become the replacement character."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text).encode()


def _travels_as_it_is(text: bytes) -> bool:
    # In bytes: this is a twentieth of a mail's CPU in characters (7 µs for 2 kB) and 2 µs here.
    if text.translate(None, _ORDINARY):
        return False
    # Mail stores quote a line that begins with "From ", which breaks the signature. One byte is found 20 times as fast.
    if b"F" in text and (text.startswith(b"From ") or b"\nFrom " in text):
        return False
    return _lines_fit(text)


def _lines_fit(text: bytes) -> bool:
    start = 0
    while len(text) - start > LONGEST_LINE + 1:
        end = text.rfind(b"\n", start, start + LONGEST_LINE + 1)
        if end < 0:
            return False
        start = end + 1
    return True


def _shorter(data: bytes) -> tuple[bytes, str]:
    """Quoted-printable keeps the source readable and is shorter while little is not ASCII; else base64."""
    quoted = binascii.b2a_qp(data, istext=True).replace(b"\r\nFrom ", b"\r\n=46rom ")
    if quoted.startswith(b"From "):
        quoted = b"=46" + quoted[1:]
    if len(quoted) <= len(data) * 4 // 3 + len(data) // 28:
        return quoted, "quoted-printable"
    return base64_lines(data), "base64"
