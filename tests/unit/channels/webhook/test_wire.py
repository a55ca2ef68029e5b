"""A connection and what a peer may say on it: any bytes end in a value, and how they are cut up changes nothing."""

import asyncio
import math
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.webhook.answers import Failure, Reply
from notifier.channels.webhook.wire import HEAD_BYTES, HEADERS, RAW_BYTES, REPLY_BYTES, HttpConnection, Stale

Answer = Reply | Failure | Stale
OK = b"HTTP/1.1 200 OK\r\n"


class Wire(asyncio.Transport):
    """The loop's side of a connection, without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


@dataclass
class Owner:
    """Who is told what becomes of a connection."""

    told: list[str] = field(default_factory=list)

    def opened(self, connection: HttpConnection) -> None:
        self.told.append("opened")

    def free(self, connection: HttpConnection) -> None:
        self.told.append("free")

    def lost(self, connection: HttpConnection) -> None:
        self.told.append("lost")


@dataclass
class Talk:
    """One connection that is open."""

    wire: Wire = field(default_factory=Wire)
    owner: Owner = field(default_factory=Owner)

    def __post_init__(self) -> None:
        self.connection = HttpConnection("http://a.example", self.owner)
        self.connection.connection_made(self.wire)

    def hear(self, *pieces: bytes) -> None:
        """What the peer says; nothing more once the connection is closed, as in a loop."""
        for piece in pieces:
            if not self.wire.closed and piece:
                self.connection.data_received(piece)

    def hang_up(self, error: Exception | None = None) -> None:
        self.wire.closed = True
        self.connection.connection_lost(error)

    @property
    def is_free(self) -> bool:
        return self.owner.told[-1] == "free"


def exchange(*pieces: bytes, hang_up: bool = True) -> tuple[Answer, bool]:
    """The answer to one request, and whether its connection may carry another one."""

    async def run() -> tuple[Answer, bool]:
        talk = Talk()
        asked = talk.connection.send(b"POST / HTTP/1.1\r\n\r\n", b"")
        talk.hear(*pieces)
        free = talk.is_free
        if hang_up:
            talk.hang_up()
        else:
            talk.connection.give_up(asked)
        return await asyncio.wait_for(asked, 5), free

    return asyncio.run(run())


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The same bytes in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


REPLIES = {
    OK + b"Content-Length: 5\r\n\r\nhello": (Reply(200, "OK", body=b"hello"), True),
    OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nRetry-After: 9\r\n\r\n": (
        Reply(200, "OK", body=b"hello"),
        True,
    ),
    OK + b"\r\nuntil the end": (Reply(200, "OK", body=b"until the end"), False),
    OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n": (Reply(200, "OK"), False),
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok": (Reply(200, "OK", body=b"ok"), False),
    b"HTTP/1.1 204\r\n\r\n": (Reply(204), True),
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n": (Reply(304, "Not Modified"), True),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nRetry-After: 7\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 3\r\n"
    b"Content-Length: 0\r\n\r\n": (Reply(429, "Slow", retry_after="3"), True),
    b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n\x1f": (
        Reply(302, "Found", location="/x", encoding="gzip", body=b"\x1f"),
        True,
    ),
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\x00\x01": (
        Reply(101, "Switching Protocols"),
        False,
    ),
}


@pytest.mark.parametrize(("said", "meant"), REPLIES.items(), ids=range(len(REPLIES)))
@given(places=st.lists(st.integers(0, 500), max_size=8))
def test_however_a_reply_is_cut_up_it_is_the_same(said: bytes, meant: tuple[Reply, bool], places: list[int]) -> None:
    assert exchange(*cut(said, places)) == meant
    assert exchange(*[bytes([byte]) for byte in said]) == meant


fragments = st.sampled_from(
    [
        OK,
        b"HTTP/1.1 ",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"ffffffff\r\n",
        b"0\r\n\r\n",
        b"Connection: Upgrade\r\nUpgrade: x\r\n",
        b"\x00",
        b": ",
        b"a" * 9000,
        *REPLIES,
    ]
)


@given(pieces=st.lists(st.binary(max_size=60) | fragments, max_size=12), hang_up=st.booleans())
def test_any_bytes_of_a_peer_end_in_a_value(pieces: list[bytes], hang_up: bool) -> None:
    answer, free = exchange(*pieces, hang_up=hang_up)

    assert isinstance(answer, Reply | Failure)
    if isinstance(answer, Reply):
        assert len(answer.body) <= REPLY_BYTES
    assert not (free and isinstance(answer, Failure))


ODD_HEADS = {
    "a bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a bare LF and no reason": b"HTTP/1.1 200\nX: y\nContent-Length: 2\n\nok",
    "an interim head with bare LF": b"HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a folded line": OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "a long header": OK + b"X-Long: " + b"a" * 9000 + b"\r\n\r\n",
    "many headers": OK + b"X: a\r\n" * (HEADERS + 1) + b"\r\n",
    "a long reason": b"HTTP/1.1 200 " + b"O" * 9000 + b"\r\n\r\n",
    "two framings": OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
    "no length": OK + b"Content-Length: many\r\n\r\n",
    "a control character": OK + b"X-Nul: \x00\r\n\r\n",
    "a blank in a name": OK + b"X Y: z\r\nContent-Length: 0\r\n\r\n",
    "no colon": OK + b"hello\r\n\r\n",
    "no reason, no colon": b"HTTP/1.1 200\r\nhello\r\n\r\n",
    "no end": OK + b"X: " + b"a" * 100 + b"\r\n",
    "a head longer than all": OK + b"X-A: " + (b"b" * 7000 + b"\r\nX-C: ") * 10,
}


@pytest.mark.parametrize("said", ODD_HEADS.values(), ids=ODD_HEADS)
@pytest.mark.parametrize("size", [1, 1000, 10**6])
@pytest.mark.parametrize("hang_up", [False, True], ids=["silent", "closed"])
def test_a_status_line_decides_whatever_the_rest_of_the_head_is_and_the_connection_is_not_reused(
    said: bytes, size: int, hang_up: bool
) -> None:
    pieces = [said[at : at + size] for at in range(0, len(said), size)]

    answer, free = exchange(*pieces, hang_up=hang_up)

    assert isinstance(answer, Reply)
    assert (answer.status, free) == (200, False)


def test_an_odd_head_still_says_how_long_to_wait() -> None:
    answer, _ = exchange(b"HTTP/1.1 429 Slow\nRetry-After: 7\nContent-Length: 4\n\nslow")

    assert answer == Reply(429, "Slow", retry_after="7", body=b"slow")


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD_BYTES // 20),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nno colon\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n" + b"X: a\r\n" * (HEADERS + 2),
    ],
    ids=["interim", "not http", "four digits", "two digits", "odd interim", "endless interim"],
)
@pytest.mark.parametrize("size", [1, 1000, 10**6])
def test_what_holds_no_final_status_line_is_a_failure(said: bytes, size: int) -> None:
    answer, free = exchange(*[said[at : at + size] for at in range(0, len(said), size)], hang_up=False)

    assert isinstance(answer, Failure)
    assert (answer.code, answer.uncertain, free) == ("protocol", True, False)


@pytest.mark.parametrize(
    "body",
    [
        OK + b"Content-Length: 999999999\r\n\r\n" + b"x" * REPLY_BYTES,
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * REPLY_BYTES,
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"e" * (RAW_BYTES + 1),
    ],
    ids=["one body", "tiny chunks", "an endless extension"],
)
def test_a_reply_without_end_is_cut_off_and_its_connection_closed(body: bytes) -> None:
    async def run() -> tuple[Answer, bool]:
        talk = Talk()
        asked = talk.connection.send(b"", b"")
        talk.hear(*[body[at : at + 4096] for at in range(0, len(body), 4096)])
        return asked.result(), talk.wire.closed

    answer, closed = asyncio.run(run())
    assert isinstance(answer, Reply)
    assert (answer.status, closed) == (200, True)


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n\r\n", b"garbage", b"\x00"])
def test_a_peer_that_says_more_than_it_was_asked_is_not_asked_again(more: bytes) -> None:
    said = OK + b"Content-Length: 2\r\n\r\nok"

    assert exchange(said + more) == (Reply(200, "OK", body=b"ok"), False)


def test_what_a_peer_says_unasked_closes_a_kept_connection() -> None:
    async def run() -> None:
        talk = Talk()
        talk.connection.send(b"", b"")
        talk.hear(b"HTTP/1.1 204\r\n\r\n")
        assert talk.is_free
        talk.hear(b"HTTP/1.1 204\r\n\r\n")
        assert talk.wire.closed

    asyncio.run(run())


@pytest.mark.parametrize(("heard", "stale"), [(b"", True), (b"H", False)])
def test_a_kept_connection_is_stale_only_when_nothing_of_the_reply_came(heard: bytes, stale: bool) -> None:
    async def run() -> Answer:
        talk = Talk()
        talk.connection.send(b"", b"")
        talk.hear(b"HTTP/1.1 204\r\n\r\n")
        asked = talk.connection.send(b"", b"")
        talk.hear(heard)
        talk.hang_up(ConnectionResetError())
        return await asked

    answer = asyncio.run(run())
    assert isinstance(answer, Stale) is stale
    assert (answer.failure if isinstance(answer, Stale) else answer).code == "connection"  # type: ignore[union-attr]


def test_a_408_on_a_kept_connection_is_about_the_silence_before_the_request() -> None:
    async def run() -> tuple[Answer, Answer]:
        talk = Talk()
        first = talk.connection.send(b"", b"")
        talk.hear(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        second = talk.connection.send(b"", b"")
        talk.hear(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        return await first, await second

    first, second = asyncio.run(run())
    assert first == Reply(408, "Request Timeout")
    assert isinstance(second, Stale)
    assert not second.failure.uncertain


def test_a_tls_alert_instead_of_a_reply_means_that_nobody_read_the_request() -> None:
    async def run(heard: bytes) -> Answer:
        talk = Talk()
        asked = talk.connection.send(b"", b"")
        talk.hear(heard)
        talk.hang_up(ssl.SSLError(1, "certificate required"))
        return await asked

    refused, cut_off = asyncio.run(run(b"")), asyncio.run(run(b"HTTP/1.1 2"))
    assert isinstance(refused, Failure)
    assert isinstance(cut_off, Failure)
    assert (refused.code, refused.uncertain, cut_off.uncertain) == ("tls", False, True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (b"timeout=5, max=100", 4.0),
        (b"max=100,timeout=2", 1.0),
        (b"timeout=1", 0.0),
        (b'timeout="15"', 14.0),
        (b"timeout=60, max=0", 0.0),
        (b"yes", math.inf),
        (b"timeout=99999999999999999999", 999998.0),
    ],
)
def test_a_receiver_says_for_how_long_an_idle_connection_is_kept(header: bytes, seconds: float) -> None:
    async def run() -> float:
        talk = Talk()
        talk.connection.send(b"", b"")
        talk.hear(b"HTTP/1.1 204\r\nKeep-Alive: " + header + b"\r\n\r\n")
        return talk.connection.keeps_for

    assert asyncio.run(run()) == seconds


def test_a_new_connection_is_never_stale() -> None:
    assert exchange() == (
        Failure("connection", "the connection was closed before a reply came", uncertain=True),
        False,
    )


def test_a_reply_that_comes_before_the_request_has_left_counts_and_ends_the_connection() -> None:
    async def run() -> Answer:
        talk = Talk()
        asked = talk.connection.send(b"", b"x" * 1_000_000)
        talk.connection.pause_writing()
        talk.wire.unsent = 500_000
        talk.hear(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        assert talk.wire.closed
        return await asked

    assert asyncio.run(run()) == Reply(413, "Too Large")


def test_a_request_that_never_left_in_full_cannot_have_been_acted_upon() -> None:
    async def run() -> Answer:
        talk = Talk()
        asked = talk.connection.send(b"", b"x" * 1_000_000)
        talk.connection.pause_writing()
        talk.hang_up(ConnectionResetError())
        return await asked

    answer = asyncio.run(run())
    assert isinstance(answer, Failure)
    assert not answer.uncertain


def test_giving_up_on_an_exchange_that_has_ended_leaves_the_next_one_alone() -> None:
    async def run() -> None:
        talk = Talk()
        first = talk.connection.send(b"", b"")
        talk.hear(b"HTTP/1.1 204\r\n\r\n")
        second = talk.connection.send(b"", b"")
        assert talk.connection.give_up(first) == Reply(204)
        talk.hear(b"HTTP/1.1 202\r\nContent-Length: 0\r\n\r\n")
        assert await second == Reply(202)

    asyncio.run(run())
