"""TLS's, the system's and our own exceptions of an exchange as values: the one place that knows them."""

from __future__ import annotations

import errno
import ssl

from notifier.channels.webhook.answers import Failure, FailureCode


class Unresolved(Exception):
    """A name has no address, or the system could not ask for it."""

    def __init__(self, host: str, error: OSError) -> None:
        super().__init__(f"{host} could not be resolved: {error.strerror or error}")


#: What `read_failure` understands. Anything else is a mistake of ours and is raised.
EXCHANGE_ERRORS = (Unresolved, OSError, EOFError)

#: Exception type → code. Timeouts and TLS errors are OSErrors, so the order is the meaning.
_TABLE: tuple[tuple[type[BaseException], FailureCode], ...] = (
    (Unresolved, "dns"),
    (TimeoutError, "timeout"),
    (ssl.SSLError, "tls"),
    (OSError, "connection"),
    (EOFError, "connection"),
)

_WORDS = {
    errno.ECONNREFUSED: "nothing listens there (connection refused)",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection was closed",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "no route to the network",
    errno.ETIMEDOUT: "the connection timed out",
}


def read_failure(error: BaseException, *, written: bool, host: str = "the host") -> Failure:
    """What an exception of one exchange means; ``written``: the whole request had been handed to the connection."""
    for kind, code in _TABLE:
        if isinstance(error, kind):
            return Failure(code, _describe(error, code, written, host), uncertain=written)
    raise TypeError(f"{type(error).__name__} is not an error of an exchange") from error


def _describe(error: BaseException, code: FailureCode, written: bool, host: str) -> str:
    if code == "timeout":
        return "no reply came within the deadline" if written else "no connection was made within the deadline"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {host} is not trusted: {getattr(error, 'verify_message', '') or error}"
    if isinstance(error, Unresolved):
        return str(error)
    if isinstance(error, EOFError):
        return "the connection was closed before a reply came"
    number = error.errno if isinstance(error, OSError) else None
    if number in _WORDS:
        return _WORDS[number]
    return f"{code}: {error or type(error).__name__}"
