"""aiohttp's exceptions as values: codes, and whether the request may have arrived."""

import errno
import socket
import ssl
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from notifier.channels.webhook.answers import Failure
from notifier.channels.webhook.failures import EXCHANGE_ERRORS, read_failure

KEY = ConnectionKey("example.com", 443, True, True, None, None, None)
INFO: aiohttp.RequestInfo = Mock(spec=aiohttp.RequestInfo)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name or service not known")),
            Failure("dns", "example.com could not be resolved: Name or service not known"),
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, OSError(None, "example.com has no address")),
            Failure("dns", "example.com could not be resolved: example.com has no address"),
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "expired")),
            Failure("tls", "the certificate of example.com is not trusted: expired"),
        ),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "no protocols available")), "tls"),
        (
            aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(errno.ECONNREFUSED, "refused")),
            Failure("connection", "nothing listens there (connection refused)"),
        ),
        (aiohttp.ConnectionTimeoutError("late"), "timeout"),
        (ssl.SSLError(1, "bad record"), Failure("tls", "tls: bad record", uncertain=True)),
        (TimeoutError(), "timeout?"),
        (aiohttp.SocketTimeoutError("late"), "timeout?"),
        (
            aiohttp.ServerDisconnectedError(),
            Failure("connection", "the connection was closed before a reply came", uncertain=True),
        ),
        (
            aiohttp.ClientOSError(errno.ECONNRESET, "reset"),
            Failure("connection", "the connection was reset", uncertain=True),
        ),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "connection?"),
        (aiohttp.ClientConnectionResetError("Cannot write to closing transport"), "connection?"),
        (
            aiohttp.ClientResponseError(INFO, (), status=400, message="Bad status line"),
            Failure("protocol", "the reply is not HTTP: Bad status line", uncertain=True),
        ),
        (aiohttp.ClientPayloadError("cut"), "protocol?"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_exception_has_its_code_and_says_whether_the_request_may_have_arrived(
    error: Exception, failure: Failure | str
) -> None:
    assert isinstance(error, EXCHANGE_ERRORS)
    read = read_failure(error, written=True)

    if isinstance(failure, Failure):
        assert read == failure
    else:
        assert (read.code, read.uncertain) == (failure.rstrip("?"), failure.endswith("?"))


def test_nothing_is_uncertain_before_the_request_was_written() -> None:
    assert not read_failure(aiohttp.ServerDisconnectedError(), written=False).uncertain
    assert not read_failure(TimeoutError(), written=False).uncertain


def test_a_mistake_of_ours_is_not_mistaken_for_a_failure_of_the_endpoint() -> None:
    assert not issubclass(KeyError, EXCHANGE_ERRORS)
    with pytest.raises(TypeError, match="KeyError"):
        read_failure(KeyError("x"), written=True)
