"""Where the token of an XOAUTH2 login comes from: a file that something else keeps fresh, or a command that prints one.

Tokens of Exchange Online and Gmail live for about an hour. No token is ever in a log or an error.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from notifier.engine.commands import CommandFailed, output_of

#: Seconds a command may take.
COMMAND_TIMEOUT_S = 20.0

#: RFC 6750 §2.1, and what else providers put into one; nothing that could end a line.
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")


class TokenUnavailable(Exception):
    """There is none; the message says why, without its content."""


class TokenSource(Protocol):
    """Gives the token for one login."""

    async def token(self) -> str:
        """Raises `TokenUnavailable`."""

    def refused(self, token: str) -> bool:
        """The relay did not take it; whether a newer one may be had at once."""


class FileToken:
    """A file that is read for each login; it must be on this machine, because reading it blocks the loop."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """What is in the file now."""
        try:
            return _checked(self._path.read_bytes(), str(self._path))
        except OSError as error:
            raise TokenUnavailable(f"cannot read {self._path}: {error.strerror}") from None

    def refused(self, token: str) -> bool:  # noqa: ARG002 - the file has no other
        """The next login reads it again."""
        return False


class CommandToken:
    """A command; its token is used for some seconds, or until a relay refuses it."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, seconds: float, clock: Callable[[], float]
    ) -> None:
        self._command = command
        self._environment = environment
        self._seconds = seconds
        self._clock = clock
        self._kept = ""
        self._until = 0.0
        self._fetching = asyncio.Lock()

    async def token(self) -> str:
        """The kept one, or a new one: the command runs once, however many wait."""
        async with self._fetching:
            if not self._kept or self._clock() >= self._until:
                try:
                    printed = await output_of(self._command, self._environment, COMMAND_TIMEOUT_S)
                except CommandFailed as error:
                    raise TokenUnavailable(f"{error}; run it by hand to see why") from None
                self._kept = _checked(printed, self._command[0])
                self._until, self._fresh = self._clock() + self._seconds, True
            else:
                self._fresh = False
            return self._kept

    def refused(self, token: str) -> bool:
        """Forgets it. One that was kept may have expired; one that is new was refused for another reason."""
        if token != self._kept:
            return True
        self._kept = ""
        return not self._fresh


def _checked(raw: bytes, origin: str) -> str:
    token = raw.decode("ascii", "replace").strip()
    if token.startswith("{"):
        raise TokenUnavailable(f"{origin} gave JSON, which is no token: give its access_token alone")
    if not _TOKEN.fullmatch(token):
        why = "one line of printable ASCII without spaces"
        raise TokenUnavailable(f"{origin} gave {len(raw)} bytes that are no token: {why}")
    return token
