"""`Lines`: a stream of bytes as its lines, one after the other, in bounded memory whatever bytes come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

#: Bytes of a line: a person with 20 addresses of 2,048 characters has less.
LONGEST = 256 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line without its end."""

    number: int
    """Counted from 1."""
    text: bytes | None
    """None of a line that is longer than `LONGEST`."""


class Lines:
    """Give it what comes with `feed`, and say with `end` that nothing follows."""

    def __init__(self) -> None:
        self._begun = b""
        self._is_too_long = False
        self._number = 0

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that end in ``data``, which is a megabyte or so; take all of them before the next."""
        *ended, rest = data.split(b"\n")
        for text in ended:
            yield self._line(text)
        self._keep(rest)

    def end(self) -> Iterator[Line]:
        """The last line, if no line end was behind it."""
        if self._begun or self._is_too_long:
            yield self._line(b"")

    def _line(self, text: bytes) -> Line:
        self._keep(text)
        whole, is_too_long = self._begun, self._is_too_long
        self._begun, self._is_too_long = b"", False
        self._number += 1
        if self._number == 1:
            whole = whole.removeprefix(_BYTE_ORDER_MARK)
        return Line(self._number, None if is_too_long else whole.removesuffix(b"\r"))

    def _keep(self, text: bytes) -> None:
        if self._is_too_long or len(self._begun) + len(text) > LONGEST:
            self._begun, self._is_too_long = b"", True
        else:
            self._begun += text
