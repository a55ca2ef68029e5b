"""Files that travel with a mail: read from a rule's expressions, checked, and written as MIME parts."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from notifier.channels.email.bodies import Part, base64_lines
from notifier.channels.email.headers import clean
from notifier.errors import InvalidAttachment

#: Bytes of all files of one mail before encoding, which adds a third; many relays stop at 10 MiB.
MAX_TOTAL_BYTES = 5 * 1024 * 1024
#: Bytes of a name in UTF-8: the limit of most file systems, and short enough for one header line when encoded.
MAX_NAME_BYTES = 255

_WORD = r"[A-Za-z0-9!#$&^_.+-]+"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}")
_SIMPLE_NAME = re.compile(r"[A-Za-z0-9._+()-]+(?: [A-Za-z0-9._+()-]+)*")


@dataclass(frozen=True, slots=True)
class File:
    """One attached file."""

    name: str
    media_type: str
    content: bytes


def read_attachment(name: object, media_type: object, content: object, *, where: str) -> File:
    """A file from three expression results. Raises `InvalidAttachment` that names ``where`` and what is wrong."""
    for what, value in (("name", name), ("media type", media_type), ("content", content)):
        if not isinstance(value, str) or not value.strip():
            raise InvalidAttachment(f"{where}: the {what} must be a text that is not empty, not {type(value).__name__}")
    return File(_name(str(name), where), _media_type(str(media_type), where), _decoded(str(content), where))


def check_total(files: Sequence[File]) -> None:
    """Raises `InvalidAttachment` when the files together have more than `MAX_TOTAL_BYTES`."""
    total = sum(len(file.content) for file in files)
    if total > MAX_TOTAL_BYTES:
        raise InvalidAttachment(
            f"the attachments have {total} bytes together, at most {MAX_TOTAL_BYTES} may travel with one mail; "
            "send a link to them instead"
        )


def file_part(file: File) -> Part:
    """The file as a MIME part, always base64."""
    headers = (
        f"Content-Type: {file.media_type}\r\n"
        f"Content-Disposition: attachment;\r\n {_filename(file.name)}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
    )
    return Part(headers, base64_lines(file.content))


def _name(text: str, where: str) -> str:
    name = clean(text).replace("/", "_").replace("\\", "_")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidAttachment(f"{where}: the name has more than {MAX_NAME_BYTES} bytes")
    if not name.strip("."):
        raise InvalidAttachment(f"{where}: the name has no letters")
    return name


def _media_type(text: str, where: str) -> str:
    media_type = text.strip().lower()
    # RFC 2046 §5.2 forbids base64 inside multipart and message types, and a nested message is a place to hide headers.
    if not _MEDIA_TYPE.fullmatch(media_type) or media_type.startswith(("multipart/", "message/")):
        raise InvalidAttachment(f"{where}: {media_type[:80]!r} is not a media type a file can have")
    return media_type


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidAttachment(f"{where}: the content is not base64 ({error})") from error


def _filename(name: str) -> str:
    """The parameter ``filename``; beyond plain characters in the form of RFC 2231, where nothing needs quoting."""
    if _SIMPLE_NAME.fullmatch(name):
        return f'filename="{name}"'
    return f"filename*=utf-8''{quote(name, safe='')}"
