"""Files that travel with a mail: read from a rule's expressions, checked, and written as MIME parts."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from notifier.channels.email.bodies import MimePart, base64_lines
from notifier.channels.email.headers import LINE, clean
from notifier.domain.media_type import read_media_type
from notifier.errors import InvalidAttachment

#: Bytes of all files of one mail before encoding, which adds a third; many relays stop at 10 MiB.
MAX_TOTAL_BYTES = 5 * 1024 * 1024
#: Bytes of a name in UTF-8: the limit of most file systems, and short enough for one header line when encoded.
MAX_NAME_BYTES = 255

_SIMPLE_NAME = re.compile(r"[A-Za-z0-9._+()-]+(?: [A-Za-z0-9._+()-]+)*")


@dataclass(frozen=True, slots=True)
class File:
    """One attached file."""

    name: str
    media_type: str
    """With its parameters, on one line."""
    content: bytes
    cid: str = ""
    """What the HTML calls it (``cid:logo``), when it is shown there instead of being attached."""

    @property
    def invites(self) -> bool:
        """Whether it is an invitation, a change of one or an answer to one (RFC 6047 §2.4)."""
        return self.media_type.startswith("text/calendar;") and bool(_read(self.media_type).parameter("method"))


def read_attachment(name: object, media_type: object, content: object, *, where: str, cid: str = "") -> File:
    """A file from three expression results. Raises `InvalidAttachment` that names ``where`` and what is wrong.

    An empty content is a file of zero bytes, as an empty log is one.
    """
    for what, value in (("name", name), ("media type", media_type), ("content", content)):
        if not isinstance(value, str):
            raise InvalidAttachment(f"{where}: the {what} must be a text, not {_kind(value)}")
    for what, value in (("name", name), ("media type", media_type)):
        if not str(value).strip():
            raise InvalidAttachment(f"{where}: the {what} is empty")
    return File(_name(str(name), where), _media_type(str(media_type), where), _decoded(str(content), where), cid)


def check_total(files: Sequence[File]) -> None:
    """Raises `InvalidAttachment` when the files together have more than `MAX_TOTAL_BYTES`."""
    total = sum(len(file.content) for file in files)
    if total > MAX_TOTAL_BYTES:
        raise InvalidAttachment(
            f"the attachments have {total} bytes together, at most {MAX_TOTAL_BYTES} may travel with one mail; "
            "send a link to them instead"
        )


def file_part(file: File) -> MimePart:
    """The file as a MIME part, always base64; shown inside the HTML when it has a cid, else attached.

    An invitation is attached as ``application/ics``, as Google's own are: its text is in the mail already (see
    `calendar_part`), and a second ``text/calendar`` would show the meeting twice in some programs.
    """
    media_type = "application/ics" if file.invites else file.media_type
    place = f"Content-ID: <{file.cid}>\r\n" if file.cid else ""
    disposition = "inline" if file.cid else "attachment"
    headers = (
        f"{_content_type(media_type)}{place}"
        f"Content-Disposition: {disposition};\r\n {_filename(file.name)}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
    )
    return MimePart(headers, base64_lines(file.content))


def calendar_part(file: File) -> MimePart:
    """An invitation as one more form of the mail: Outlook and Gmail offer to accept only what is no attachment."""
    headers = f"{_content_type(file.media_type)}Content-Transfer-Encoding: base64\r\n"
    return MimePart(headers, base64_lines(file.content))


_read = lru_cache(maxsize=256)(read_media_type)


@lru_cache(maxsize=256)
def _content_type(media_type: str) -> str:
    read = _read(media_type)
    line = f"Content-Type: {read}"
    if len(line) <= LINE:
        return line + "\r\n"
    return ";\r\n ".join([f"Content-Type: {read.name}", *read.written()]) + "\r\n"


def _name(text: str, where: str) -> str:
    name = clean(text).replace("/", "_").replace("\\", "_")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidAttachment(f"{where}: the name has more than {MAX_NAME_BYTES} bytes")
    if not name.strip("."):
        raise InvalidAttachment(f"{where}: the name has no letters")
    return name


def _media_type(text: str, where: str) -> str:
    try:
        return str(read_media_type(text))
    except ValueError as error:
        raise InvalidAttachment(f"{where}: the media type: {error}") from error


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidAttachment(f"{where}: the content is not base64 ({error})") from error


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _filename(name: str) -> str:
    """The parameter ``filename``; beyond plain characters in the form of RFC 2231, where nothing needs quoting."""
    if _SIMPLE_NAME.fullmatch(name):
        return f'filename="{name}"'
    return f"filename*=utf-8''{quote(name, safe='')}"
