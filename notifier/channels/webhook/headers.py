"""Which request headers an endpoint may add: an allow-list, so that new dangerous ones are refused unseen."""

from __future__ import annotations

import re
from collections.abc import Sequence

from notifier.errors import InvalidDestination, Problem, SettingsError
from notifier.settings import split_list

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
#: Names that are ours or the connection's to write; no operator can give them away.
_OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "metadata",
        "metadata-flavor",
        "range",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
    }
)
_OUR_PREFIXES = ("ce-", "proxy-", "sec-", "webhook-")
REFUSED_PREFIXES = ("x-forwarded", "x-webhook-")
#: Headers of an endpoint, and characters of one: together far below the 8 kB that servers commonly take.
MOST_HEADERS = 20
VALUE_LIMIT = 4096

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
#: Visible ASCII and inner spaces: no CR or LF that would begin a header of its own, no bytes that proxies disagree on.
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def is_sendable(value: str) -> bool:
    """Whether a value can be written into a header as it is."""
    return len(value) <= VALUE_LIMIT and _VALUE.fullmatch(value) is not None


def read_names(text: str) -> frozenset[str]:
    """``NOTIFIER_WEBHOOK_HEADERS``: further names that are allowed. Raises `SettingsError` naming every mistake."""
    names = [name.lower() for name in split_list(text)]
    wrong = [name for name in names if not _NAME.fullmatch(name) or not _may_be_given_away(name)]
    if wrong:
        fix = "name headers that receivers authenticate or route by, such as private-token"
        what = "{!r} is no header that an endpoint may have"
        raise SettingsError([Problem("NOTIFIER_WEBHOOK_HEADERS", what.format(name[:64]), fix) for name in wrong])
    return frozenset(names)


def _may_be_given_away(name: str) -> bool:
    return name not in _OURS | REFUSED and not name.startswith(_OUR_PREFIXES + REFUSED_PREFIXES)


def check_headers(
    headers: Sequence[tuple[str, str]], also: frozenset[str] = frozenset()
) -> tuple[tuple[str, str], ...]:
    """An endpoint's extra headers with lower-case names. Raises `InvalidDestination` naming the first that is wrong.

    ``also``: names that an operator allows (`read_names`).

    Messages name the header but never quote its value, which is often a credential.
    """
    if len(headers) > MOST_HEADERS:
        raise InvalidDestination(f"{len(headers)} extra headers; an endpoint may have {MOST_HEADERS}")
    checked: dict[str, str] = {}
    for written, value in headers:
        name = written.lower()
        if name not in also and not _is_allowed(name):
            raise InvalidDestination(
                f"header {written[:64]!r} cannot be added to webhooks; allowed are x-… names and "
                + ", ".join(sorted(ALLOWED | also))
                + "; an operator can allow more with NOTIFIER_WEBHOOK_HEADERS"
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
