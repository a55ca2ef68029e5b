"""The head of a request in bytes: the same for every webhook to an endpoint but for its last lines.

Nothing gets into a header that `headers.is_sendable` does not pass: a line break would begin a header of its own.
"""

from __future__ import annotations

import functools

from notifier import __version__
from notifier.channels.webhook.guard import Target
from notifier.channels.webhook.headers import check_headers, is_sendable
from notifier.errors import InvalidDestination

USER_AGENT = f"Notifier/{__version__}"
#: Endpoints whose first lines are remembered, and the most characters of their own headers that are.
_REMEMBERED, _REMEMBERED_CHARACTERS = 4096, 1024

_Headers = tuple[tuple[str, str], ...]


def opening(target: Target, headers: _Headers, content_type: str, also: frozenset[str] = frozenset()) -> bytes:
    """The request line and what an endpoint's webhooks have in common. Raises `InvalidDestination`.

    ``also``: header names that an operator allows besides the usual ones.
    """
    if sum(len(name) + len(value) for name, value in headers) > _REMEMBERED_CHARACTERS:
        return _opening(target.url, target.origin, headers, content_type, also)
    return _remembered(target.url, target.origin, headers, content_type, also)


def line(name: str, value: str) -> bytes:
    """One header. Raises `InvalidDestination` when the value cannot be one."""
    if not is_sendable(value):
        raise InvalidDestination(f"the value of header {name!r} must be visible ASCII characters without line breaks")
    return f"{name}: {value}\r\n".encode("ascii")


def first_lines(method: str, url: str, origin: str) -> bytes:
    """The request line, and the headers that every request of ours has but one may name for itself: ``accept``."""
    authority = origin.partition("://")[2]
    host, colon, port = (authority, "", "") if authority.startswith("[") else authority.partition(":")
    # The URL is ASCII without spaces or controls (`guard`), whatever the tenant wrote.
    opened = f"{method} {url.removeprefix(origin)} HTTP/1.1\r\nhost: {host.rstrip('.')}{colon}{port}\r\n".encode(
        "ascii"
    )
    # Nothing may answer in a coding: no body is ever decoded.
    return opened + b"accept-encoding: identity\r\n" + line("user-agent", USER_AGENT)


def _opening(url: str, origin: str, headers: _Headers, content_type: str, also: frozenset[str]) -> bytes:
    own = check_headers(headers, also)
    lines = [
        first_lines("POST", url, origin),
        b"" if any(name == "accept" for name, _ in own) else b"accept: */*\r\n",
        line("content-type", content_type),
        *(line(name, value) for name, value in own),
    ]
    return b"".join(lines)


_remembered = functools.lru_cache(maxsize=_REMEMBERED)(_opening)
