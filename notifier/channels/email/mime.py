"""One mail as bytes, written directly: tens of µs, where `EmailMessage` with `policy.SMTP` takes 1.45 ms.

Proven equal by tests that read every kind of mail back with the standard library. A fixed list of fields is written
here and nowhere else; no field name ever comes from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from notifier.channels.email.attachments import File, file_part
from notifier.channels.email.bodies import Part, text_part
from notifier.channels.email.headers import mailbox, unstructured
from notifier.domain.value import value
from notifier.engine.lines import WholeLines, are_whole


@value
class Letter:
    """What a mail consists of; addresses are already checked."""

    id: str
    """The delivery's id: it names the Message-ID and the boundaries, so the same delivery gives the same bytes."""
    hostname: str
    sender_name: str
    sender: str
    to_name: str
    to: str
    subject: str
    text: str
    html: str
    date: float
    """Unix seconds."""
    unsubscribe_url: str = ""
    files: Sequence[File] = ()


def write(letter: Letter) -> bytes:
    """The whole mail: CRLF line ends only, ASCII unless an address is not."""
    body = _body(letter)
    head = (_fields(letter) + body.headers).encode()
    content = b"%b\r\n%b" % (head, body.content)
    # `text_part` writes the line ends of texts, so the head's are left to count; files bring headers of their own.
    return WholeLines(content) if not letter.files and are_whole(head) else content


def message_id(delivery: str, hostname: str) -> str:
    """Stable over every try, so that a copy sent because nobody knew is recognised as one."""
    return f"<{delivery}@{hostname}>"


def _fields(letter: Letter) -> str:
    return (
        _from(letter.sender_name, letter.sender)
        + mailbox("To", letter.to_name, letter.to)
        + unstructured("Subject", letter.subject)
        + f"Date: {_date(int(letter.date))}\r\n"
        + f"Message-ID: {message_id(letter.id, letter.hostname)}\r\n"
        + _unsubscribe(letter.unsubscribe_url)
        # RFC 3834: no holiday replies to a machine.
        + "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
    )


@lru_cache(maxsize=256)
def _from(name: str, address: str) -> str:
    return mailbox("From", name, address)


def _unsubscribe(url: str) -> str:
    if not url:
        return ""
    # RFC 8058 §3.1 allows the one-click promise only for an https URI.
    promise = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" if url.startswith("https://") else ""
    return f"List-Unsubscribe: <{url}>\r\n{promise}"


def _body(letter: Letter) -> Part:
    words = text_part("plain", letter.text)
    if letter.html:
        words = _multipart("alternative", (words, text_part("html", letter.html)), f"=_a_{letter.id}")
    if not letter.files:
        return words
    return _multipart("mixed", (words, *map(file_part, letter.files)), f"=_m_{letter.id}")


def _multipart(subtype: str, parts: Sequence[Part], boundary: str) -> Part:
    """Neither base64 nor quoted-printable can contain ``=_`` (RFC 2045 §6.7), so only literal parts are searched."""
    boundary = _unused(boundary, parts)
    delimiter = f"--{boundary}".encode()
    pieces = []
    for part in parts:
        pieces += [delimiter, b"\r\n", part.headers.encode(), b"\r\n", part.content, b"\r\n"]
    content = b"".join([*pieces, delimiter, b"--\r\n"])
    headers = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n'
    return Part(headers, content, literal=any(part.literal for part in parts))


def _unused(boundary: str, parts: Sequence[Part]) -> str:
    candidate, number = boundary, 0
    while _occurs(candidate.encode(), parts):
        number += 1
        candidate = f"{boundary}_{number}"
    return candidate


def _occurs(boundary: bytes, parts: Sequence[Part]) -> bool:
    # One byte is found 20 times as fast, and this one is rare.
    return any(part.literal and b"_" in part.content and boundary in part.content for part in parts)


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))
