"""Which request headers an endpoint may add: an allow-list, so that new dangerous ones are refused unseen."""

from __future__ import annotations

import re
from collections.abc import Sequence

from notifier.errors import InvalidDestination

#: Names allowed besides ``x-…``: what receivers authenticate or route by.
ALLOWED = frozenset({"accept", "accept-language", "api-key", "apikey", "authorization", "from"})
#: ``x-…`` names that change how proxies, frameworks or metadata services read a request.
REFUSED = frozenset(
    {
        "x-aws-ec2-metadata-token",
        "x-aws-ec2-metadata-token-ttl-seconds",
        "x-google-metadata-request",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-real-ip",
        "x-rewrite-url",
    }
)
REFUSED_PREFIXES = ("x-forwarded", "x-webhook-")
MOST_HEADERS = 20
VALUE_LIMIT = 4096

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
#: Visible ASCII and inner spaces: no CR or LF that would begin a header of its own, no bytes that proxies disagree on.
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def is_sendable(value: str) -> bool:
    """Whether a value can be written into a header as it is."""
    return len(value) <= VALUE_LIMIT and _VALUE.fullmatch(value) is not None


def check_headers(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """An endpoint's extra headers with lower-case names. Raises `InvalidDestination` naming the first that is wrong.

    Messages name the header but never quote its value, which is often a credential.
    """
    if len(headers) > MOST_HEADERS:
        raise InvalidDestination(f"{len(headers)} extra headers; an endpoint may have {MOST_HEADERS}")
    checked: dict[str, str] = {}
    for written, value in headers:
        name = written.lower()
        if not _is_allowed(name):
            raise InvalidDestination(
                f"header {written[:64]!r} cannot be added to webhooks; allowed are x-… names and "
                + ", ".join(sorted(ALLOWED))
            )
        if not is_sendable(value):
            raise InvalidDestination(
                f"the value of header {name!r} must be 1 to {VALUE_LIMIT:,} visible ASCII characters, no line breaks"
            )
        if name in checked:
            raise InvalidDestination(f"header {name!r} is given twice")
        checked[name] = value
    return tuple(checked.items())


def _is_allowed(name: str) -> bool:
    if not _NAME.fullmatch(name) or name in REFUSED or name.startswith(REFUSED_PREFIXES):
        return False
    return name in ALLOWED or name.startswith("x-")
