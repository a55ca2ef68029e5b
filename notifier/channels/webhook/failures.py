"""aiohttp's, TLS's and the socket's exceptions as values: the one place that knows them, most specific first."""

from __future__ import annotations

import asyncio
import errno
import ssl

import aiohttp

from notifier.channels.webhook.answers import Failure, FailureCode

#: What `read_failure` understands. Anything else is a mistake of ours and is raised.
EXCHANGE_ERRORS = (aiohttp.ClientError, asyncio.TimeoutError, ssl.SSLError, OSError)

#: Exception type → code, and whether it can happen only before the request was written. aiohttp's types inherit from
#: each other crosswise (a DNS error is a connector error is an OSError), so the order is the meaning.
_TABLE: tuple[tuple[type[BaseException], FailureCode, bool], ...] = (
    (aiohttp.ClientConnectorDNSError, "dns", True),
    (aiohttp.ClientConnectorCertificateError, "tls", True),
    (aiohttp.ClientConnectorSSLError, "tls", True),
    (aiohttp.ConnectionTimeoutError, "timeout", True),
    (aiohttp.ClientConnectorError, "connection", True),
    (ssl.SSLError, "tls", False),
    (asyncio.TimeoutError, "timeout", False),
    (aiohttp.ClientResponseError, "protocol", False),
    (aiohttp.ServerDisconnectedError, "connection", False),
    (aiohttp.ClientConnectionError, "connection", False),
    (OSError, "connection", False),
    (aiohttp.ClientError, "protocol", False),
)

_WORDS = {
    errno.ECONNREFUSED: "nothing listens there (connection refused)",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection was closed",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "no route to the network",
    errno.ETIMEDOUT: "the connection timed out",
}


def read_failure(error: BaseException, *, written: bool) -> Failure:
    """What an exception of one exchange means; ``written``: the whole request had been handed to the connection."""
    for kind, code, only_before in _TABLE:
        if isinstance(error, kind):
            return Failure(code, _describe(error, code, written), uncertain=written and not only_before)
    raise TypeError(f"{type(error).__name__} is not an error of an exchange") from error


def _describe(error: BaseException, code: FailureCode, written: bool) -> str:
    if code == "timeout":
        return "no reply came within the deadline" if written else "no connection was made within the deadline"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        return f"the certificate of {error.host} is not trusted: {getattr(cause, 'verify_message', '') or cause}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"{error.host} could not be resolved: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the reply is not HTTP: {error.message}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed before a reply came"
    number = error.errno if isinstance(error, OSError) else None
    if number in _WORDS:
        return _WORDS[number]
    return f"{code}: {error or type(error).__name__}"
