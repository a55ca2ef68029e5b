"""Relays with several addresses, of which some do not answer."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from notifier.engine import dialing
from notifier.engine.transaction import Accepted, Broken
from tests.integration.engine.conftest import Posting
from tests.servers.ports import free_port
from tests.servers.smtp import SmtpSink

Address = tuple[str, int]
Resolving = Callable[..., None]


@pytest.fixture
def silent() -> Iterator[Address]:
    """An address that answers no attempt to connect, as a machine that is switched off: its queue of them is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.3", 0))
        listener.listen(0)
        for _ in range(4):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(listener.getsockname())
        yield listener.getsockname()


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Resolving:
    def to(*addresses: Address) -> None:
        async def look_up(_: str, __: int) -> Sequence[tuple[Any, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

        monkeypatch.setattr(dialing, "look_up", look_up)

    return to


def test_a_relay_was_once_down_when_the_first_of_its_addresses_was_silent(
    posting: Posting, smtp_sink: SmtpSink, silent: Address, resolving: Resolving
) -> None:
    # Given
    resolving(silent, ("127.0.0.1", smtp_sink.port))

    # When
    post = posting("smtp+plain://relay.example:25")
    ended = post.send()

    # Then
    assert isinstance(ended, Accepted)
    assert [state.up for state in post.relays.states()] == [True]


def test_an_address_that_refuses_is_followed_by_the_next(
    posting: Posting, smtp_sink: SmtpSink, resolving: Resolving
) -> None:
    resolving(("127.0.0.1", free_port()), ("127.0.0.1", smtp_sink.port))
    assert isinstance(posting("smtp+plain://relay.example:25").send(), Accepted)


def test_of_addresses_that_all_fail_the_one_that_answered_is_told(posting: Posting, resolving: Resolving) -> None:
    resolving(("127.0.0.1", free_port()), ("127.0.0.1", free_port()))
    ended = posting("smtp+plain://relay.example:25").send()
    assert isinstance(ended, Broken)
    assert ended.kind == "connection"
    assert "Connect call failed" in ended.why


def test_a_relay_whose_addresses_are_all_silent_has_not_answered_in_time(
    posting: Posting, silent: Address, resolving: Resolving
) -> None:
    resolving(silent)
    ended = posting("smtp+plain://relay.example:25", timeout=2.0).send()
    assert isinstance(ended, Broken)
    assert ended.kind == "timeout"
