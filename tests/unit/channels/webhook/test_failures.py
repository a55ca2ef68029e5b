"""Exceptions of an exchange as values: codes, and whether the request may have arrived."""

import errno
import socket
import ssl

import pytest

from notifier.channels.webhook.answers import Failure
from notifier.channels.webhook.failures import EXCHANGE_ERRORS, Unresolved, read_failure
from notifier.engine.dialing import further
from notifier.errors import ForbiddenTarget


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (
            Unresolved("example.com", socket.gaierror(-2, "Name or service not known")),
            Failure("dns", "example.com could not be resolved: Name or service not known", uncertain=True),
        ),
        (
            Unresolved("example.com", OSError(None, "example.com has no address")),
            Failure("dns", "example.com could not be resolved: example.com has no address", uncertain=True),
        ),
        (
            ssl.SSLCertVerificationError(1, "expired"),
            Failure("tls", "the certificate of example.com is not trusted: expired", uncertain=True),
        ),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
            Failure("connection", "nothing listens there (connection refused)", uncertain=True),
        ),
        (ssl.SSLError(1, "bad record"), Failure("tls", "tls: bad record", uncertain=True)),
        (TimeoutError(), Failure("timeout", "no reply came within the deadline", uncertain=True)),
        (EOFError(), Failure("connection", "the connection was closed before a reply came", uncertain=True)),
        (
            ConnectionResetError(errno.ECONNRESET, "reset"),
            Failure("connection", "the connection was reset", uncertain=True),
        ),
        (OSError(errno.EIO, "odd"), Failure("connection", "connection: [Errno 5] odd", uncertain=True)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_exception_has_its_code_and_is_uncertain_when_the_request_was_written(
    error: Exception, failure: Failure
) -> None:
    assert isinstance(error, EXCHANGE_ERRORS)

    assert read_failure(error, written=True, host="example.com") == failure


def test_nothing_is_uncertain_before_the_request_was_written() -> None:
    assert not read_failure(EOFError(), written=False).uncertain
    assert read_failure(TimeoutError(), written=False) == Failure(
        "timeout", "no connection was made within the deadline"
    )


def test_a_mistake_of_ours_is_not_mistaken_for_a_failure_of_the_endpoint() -> None:
    assert not issubclass(KeyError, EXCHANGE_ERRORS)
    with pytest.raises(TypeError, match="KeyError"):
        read_failure(KeyError("x"), written=True)


NO_ROUTE, SILENT, REFUSED = (
    OSError(errno.EHOSTUNREACH, ""),
    TimeoutError(),
    ConnectionRefusedError(errno.ECONNREFUSED, ""),
)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (None, NO_ROUTE, NO_ROUTE),
        (NO_ROUTE, SILENT, SILENT),
        (SILENT, NO_ROUTE, SILENT),
        (REFUSED, SILENT, REFUSED),
        (SILENT, REFUSED, REFUSED),
    ],
)
def test_of_two_attempts_to_connect_the_one_that_got_further_is_told(
    one: OSError | None, other: OSError, told: OSError
) -> None:
    assert further(one, other) is told


def test_what_is_not_about_the_network_is_told_at_once() -> None:
    with pytest.raises(ForbiddenTarget):
        further(REFUSED, ForbiddenTarget("inside"))
