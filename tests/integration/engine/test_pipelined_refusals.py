"""RFC 2920: DATA was sent before the reply to RCPT was known. Each server here answers one scripted way."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from notifier.engine.transaction import Accepted, Broken, Phase, Rejected
from tests.integration.engine.conftest import Posting
from tests.servers.loop_thread import LoopThread
from tests.servers.ports import free_port


class ScriptedRelay:
    """Answers the n-th transaction with the n-th list of replies to MAIL, RCPT, DATA; further ones with success."""

    def __init__(self, *transactions: tuple[str, str, str]) -> None:
        self.port = free_port()
        self.lines: list[str] = []
        self._transactions = list(transactions)
        self._writers: list[asyncio.StreamWriter] = []
        self._thread = LoopThread("scripted-relay")
        self._thread.call(self._listen())

    @property
    def url(self) -> str:
        return f"smtp+plain://127.0.0.1:{self.port}"

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        writer.write(b"220 scripted\r\n")
        replies: list[str] = []
        content = False
        while received := await reader.readline():
            line = received.decode().rstrip("\r\n")
            self.lines.append(line)
            verb = "" if content else line.split(" ")[0]
            if verb == "EHLO":
                writer.write(b"250-scripted\r\n250 PIPELINING\r\n")
            elif verb == "MAIL":
                replies = list(self._transactions.pop(0)) if self._transactions else ["250 ok", "250 ok", "354 go"]
                writer.write(replies.pop(0).encode() + b"\r\n")
            elif verb in {"RCPT", "DATA"}:
                reply = replies.pop(0)
                content = content or reply.startswith("354")
                writer.write(reply.encode() + b"\r\n")
            elif content and line == ".":
                content = False
                writer.write(b"554 5.5.1 no valid recipients\r\n" if len(self.lines) < 6 else b"250 ok\r\n")
            elif not content:
                writer.write(b"250 ok\r\n")
        writer.close()

    def close(self) -> None:
        self._thread.close(self._end)

    async def _end(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()


Scripting = Callable[..., ScriptedRelay]


@pytest.fixture
def scripted() -> Iterator[Scripting]:
    made: list[ScriptedRelay] = []

    def make(*transactions: tuple[str, str, str]) -> ScriptedRelay:
        made.append(ScriptedRelay(*transactions))
        return made[-1]

    yield make
    for relay in made:
        relay.close()


@pytest.mark.parametrize(
    ("replies", "phase", "code"),
    [
        (("250 ok", "550 5.1.1 nobody", "354 go"), Phase.RCPT, 550),
        (("550 5.1.8 not you", "503 MAIL first", "354 go"), Phase.MAIL, 550),
        (("450 later", "250 ok", "354 go"), Phase.MAIL, 450),
    ],
)
def test_data_that_was_accepted_for_nobody_is_ended_with_a_lone_dot(
    posting: Posting, scripted: Scripting, replies: tuple[str, str, str], phase: Phase, code: int
) -> None:
    # Given a relay that refuses, but answers the pipelined DATA with 354
    relay = scripted(replies)
    post = posting(relay.url)

    # When two mails are sent
    refused, following = post.send(), post.send()

    # Then the first was refused, no content left, and the second went over the same connection after RSET
    assert isinstance(refused, Rejected)
    assert (refused.phase, refused.code) == (phase, code)
    assert isinstance(following, Accepted)
    assert relay.lines[4] == "."
    assert relay.lines[5] == "RSET"
    assert len([line for line in relay.lines if line.startswith("EHLO")]) == 1


def test_data_refused_after_a_refused_recipient_ends_without_a_dot(posting: Posting, scripted: Scripting) -> None:
    relay = scripted(("250 ok", "550 5.1.1 nobody", "554 5.5.1 no valid recipients"))
    refused = posting(relay.url).send()
    assert isinstance(refused, Rejected)
    assert refused.phase is Phase.RCPT
    assert "." not in relay.lines


def test_data_refused_alone_is_a_refusal_of_data(posting: Posting, scripted: Scripting) -> None:
    relay = scripted(("250 ok", "250 ok", "452 4.3.1 disk full"))
    refused = posting(relay.url).send()
    assert isinstance(refused, Rejected)
    assert (refused.phase, refused.code) == (Phase.DATA, 452)


def test_two_replies_where_one_was_asked_for_end_the_connection_but_not_the_mail(
    posting: Posting, scripted: Scripting
) -> None:
    # Given a relay that says one thing too many
    relay = scripted(("250 ok", "250 ok", "354 go\r\n250 and more"))

    # When a mail is sent, Then nothing of it counts and nothing left
    ended = posting(relay.url).send()
    assert isinstance(ended, Broken)
    assert not ended.uncertain
