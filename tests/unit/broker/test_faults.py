"""What kombu and py-amqp raise, as our errors."""

import socket

import pytest
from amqp.exceptions import AccessRefused, MessageNacked, RecoverableConnectionError
from kombu.exceptions import EncodeError, OperationalError

from notifier.broker.faults import translated
from notifier.errors import BrokerUnavailable, PublishRejected


@pytest.mark.parametrize(
    "error",
    [
        AccessRefused("no"),
        RecoverableConnectionError("gone"),
        OperationalError("gone"),
        EncodeError("no"),
        TimeoutError("no confirm"),
        socket.gaierror("no such host"),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_broker_that_cannot_be_reached_is_told_with_what_was_being_done(error: Exception) -> None:
    with (
        pytest.raises(BrokerUnavailable, match=f"cannot publish: {type(error).__name__}") as told,
        translated("publish"),
    ):
        raise error

    assert told.value.__cause__ is error


def test_a_message_that_the_broker_refused_is_told_as_refused() -> None:
    with pytest.raises(PublishRejected), translated("publish"):
        raise MessageNacked


def test_a_refusal_that_kombu_has_wrapped_is_still_a_refusal() -> None:
    with pytest.raises(PublishRejected), translated("publish"):
        raise OperationalError("basic.nack") from MessageNacked()


def test_a_bug_stays_what_it_is() -> None:
    with pytest.raises(KeyError), translated("publish"):
        raise KeyError("a bug")
