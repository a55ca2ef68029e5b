"""The edge of the API, driven by hand-made ASGI messages: bodies are bounded while they arrive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from notifier.api.edge import Edge


class _Echo:
    """An application that answers with the body it was given."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": message["body"]})


class _Endless:
    """A client that sends for ever; counts how often it was asked for more."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> Message:
        self.asked += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}


def _scope(**headers: str) -> Scope:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": "/p", "headers": raw}


def _receiving(parts: Sequence[bytes], *, leaves: bool = False) -> Receive:
    ends = [{"type": "http.disconnect"}] if leaves else []
    messages: list[Any] = [
        *(
            {"type": "http.request", "body": part, "more_body": leaves or i < len(parts) - 1}
            for i, part in enumerate(parts)
        ),
        *ends,
    ]
    waiting = iter(messages)

    async def receive() -> Message:
        return dict(next(waiting))

    return receive


def _ask(edge: Edge, scope: Scope, receive: Receive) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(edge(scope, receive, send))
    if not sent:
        return 0, {}, b""
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=10))
def test_a_body_arrives_whole_or_not_at_all(parts: list[bytes]) -> None:
    echo = _Echo()
    edge = Edge(echo, limit=lambda scope: 100)

    status, _, body = _ask(edge, _scope(), _receiving(parts))

    whole = b"".join(parts)
    assert (status, body, echo.calls) == (200, whole, 1) if len(whole) <= 100 else (status, echo.calls) == (413, 0)


def test_an_endless_body_is_cut_off_at_the_first_byte_too_many() -> None:
    client = _Endless()

    status, headers, body = _ask(Edge(_Echo(), limit=lambda scope: 5000), _scope(), client)

    assert status == 413
    assert client.asked == 6
    assert headers[b"connection"] == b"close"
    assert json.loads(body)["where"] == "body"


def test_a_body_that_announces_too_much_is_not_read_at_all() -> None:
    client = _Endless()

    status, _, _ = _ask(Edge(_Echo(), limit=lambda scope: 5000), _scope(content_length="5001"), client)

    assert (status, client.asked) == (413, 0)


@pytest.mark.parametrize("length", ["-1", "abc", "", "1" * 5000])
def test_a_nonsense_content_length_is_not_believed(length: str) -> None:
    status, _, _ = _ask(Edge(_Echo(), limit=lambda scope: 10), _scope(content_length=length), _receiving([b"fine"]))

    assert status in (200, 413)


def test_a_client_that_leaves_half_way_reaches_no_route() -> None:
    echo = _Echo()

    assert _ask(Edge(echo, limit=lambda scope: 10), _scope(), _receiving([b"ha"], leaves=True))[0] == 0
    assert echo.calls == 0


def test_a_body_that_never_ends_is_given_up() -> None:
    async def silent() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    status, _, body = _ask(Edge(_Echo(), limit=lambda scope: 10, deadline=0.01), _scope(), silent)

    assert status == 408
    assert json.loads(body)["do"]


def test_answers_carry_headers_that_keep_browsers_from_guessing() -> None:
    _, headers, _ = _ask(Edge(_Echo(), limit=lambda scope: 10), _scope(), _receiving([b""]))

    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"cache-control"] == b"no-store"
