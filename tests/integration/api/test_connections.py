"""`notifier api` and those who have no token: large, slow and idle clients, from real sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.conftest import SECRET_KEY, TEMPLATES, TOKENS
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.ports import free_port
from tests.servers.processes import start, stop_group, wait_until
from tests.servers.redis import RedisServer

HEAD_BYTES = 4096
IN_ALL, OF_ONE_ADDRESS = 12, 5


@dataclass(frozen=True)
class _Api:
    port: int
    health_port: int

    def connect(self, address: str = "127.0.0.1") -> socket.socket:
        """A connection from one of this machine's addresses."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S, source_address=(address, 0))

    def hold(self, address: str) -> socket.socket:
        """A connection whose request is being answered: its body is not complete."""
        held = self.connect(address)
        held.sendall(b"POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        return held


@pytest.fixture(scope="module")
def api(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Api]:
    made = _Api(free_port(), free_port())
    log = tmp_path_factory.mktemp("connections") / "api.log"
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "NOTIFIER_BROKER_URL": "amqp://guest:guest@127.0.0.1:1/",
        "NOTIFIER_REDIS_URL": redis_server.url,
        "NOTIFIER_TEMPLATES": str(TEMPLATES),
        "NOTIFIER_SECRET_KEY": SECRET_KEY,
        "NOTIFIER_API_TOKENS": f"admin:{TOKENS['admin']}",
        "NOTIFIER_API_PORT": str(made.port),
        "NOTIFIER_HTTP_PORT": str(made.health_port),
        "NOTIFIER_API_CONNECTIONS": str(IN_ALL),
        "NOTIFIER_API_CONNECTIONS_PER_ADDRESS": str(OF_ONE_ADDRESS),
        "NOTIFIER_API_HEAD_BYTES": str(HEAD_BYTES),
        "NOTIFIER_API_HEAD_SECONDS": "1",
        "NOTIFIER_API_IDLE_SECONDS": "1",
    }
    process = start([sys.executable, "-m", "notifier.cli", "api"], log, environment)
    wait_until(lambda: ask(made.port) == 200, process, log)
    yield made
    stop_group(process, signal.SIGKILL)


def ask(port: int, path: str = "/healthz", address: str = "127.0.0.1") -> int:
    """The status of a GET; 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, PATIENCE_S, source_address=(address, 0))
    with closing(connection):
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0


def last_answer(connection: socket.socket) -> tuple[int, Any]:
    """(status, problem) of what is answered until the other side closes; (0, None) when it closes without a word."""
    received = b""
    with closing(connection):
        while data := connection.recv(65536):
            received += data
    if not received:
        return 0, None
    head, _, body = received.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")
    return int(head[:3]), json.loads(body)


def send_until_refused(connection: socket.socket, first: bytes, again: bytes, times: int) -> None:
    """What is refused is not read any more; sending the rest then fails."""
    with suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(first)
        for _ in range(times):
            connection.sendall(again)


LINE = b"x-filler: " + b"a" * 1000 + b"\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /readyz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "again", "times"),
    [
        (GET, LINE, 10),
        (GET + LINE * 10 + b"\r\n", b"", 0),
        (GET + b"x-filler: ", b"a" * 100_000, 10),
        (b"GET /", b"a" * 100_000, 10),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"", 0),
        (GET + b"a: b\r\n" * 800 + b"\r\n", b"", 0),
        (CHUNKED + b"0\r\n", LINE, 100),
        (CHUNKED + b"1;x=", b"a" * 100_000, 10),
        (b"\r\n", b"\r\n" * 10_000, 10),
    ],
    ids=[
        "lines",
        "at once",
        "one line",
        "path",
        "path at once",
        "short lines",
        "trailers",
        "chunk extension",
        "no line",
    ],
)
def test_a_head_that_is_too_large_is_refused(api: _Api, first: bytes, again: bytes, times: int) -> None:
    # Given
    client = api.connect()

    # When
    send_until_refused(client, first, again, times)

    # Then
    status, problem = last_answer(client)
    assert status == 431
    assert problem["detail"] == f"path and header lines may have {HEAD_BYTES:,} bytes"
    assert problem["do"] == "send fewer or shorter header lines"


def test_two_hundred_megabytes_of_header_lines_are_not_read(api: _Api) -> None:
    # Given a client that goes on whatever it is answered
    client = api.connect()
    sent = 0
    with suppress(ConnectionResetError, BrokenPipeError):
        client.sendall(GET)
        for _ in range(200):
            client.sendall(LINE * 1000)
            sent += 1

    # Then it could not send them
    assert sent < 100
    client.close()


def test_a_request_just_within_the_bounds_is_answered(api: _Api) -> None:
    client = api.connect()
    client.sendall(GET + b"x-filler: " + b"a" * (HEAD_BYTES - 200) + b"\r\nConnection: close\r\n\r\n")
    assert last_answer(client)[0] == 200


def test_a_body_in_small_chunks_is_no_head(api: _Api) -> None:
    client = api.connect()
    client.sendall(CHUNKED.replace(b"chunked", b"chunked\r\nConnection: close") + b"1\r\na\r\n" * 3000 + b"0\r\n\r\n")
    # A POST there is nothing the API serves, which it says after it has read the body.
    assert last_answer(client)[0] == 405


@pytest.mark.parametrize("before", [b"", GET + b"\r\n"], ids=["on a new connection", "on one that was used"])
@pytest.mark.parametrize("half", [b"GET /healthz HTTP/1.1\r\nHost: x\r\nx-half: ", b"\r\n"])
def test_a_head_that_is_never_complete_ends_in_408(api: _Api, before: bytes, half: bytes) -> None:
    client = api.connect()
    if before:
        client.sendall(before)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    client.sendall(half)
    status, problem = last_answer(client)
    assert (status, problem["where"]) == (408, "headers")


def test_a_connection_that_says_nothing_is_closed_without_a_word(api: _Api) -> None:
    assert last_answer(api.connect()) == (0, None)


def test_a_connection_that_asks_no_more_is_closed_without_a_word(api: _Api) -> None:
    client = api.connect()
    client.sendall(GET + b"\r\n")
    with closing(http.client.HTTPResponse(client)) as answer:
        answer.begin()
        answer.read()
    assert answer.status == 200
    assert last_answer(client) == (0, None)


def test_idle_connections_leave_their_places_to_whoever_asks(api: _Api) -> None:
    # Given more connections that do nothing, of one address and of many, than there are places
    with ExitStack() as open_ones:
        for number in range(4 * IN_ALL):
            open_ones.enter_context(closing(api.connect(f"127.0.0.{2 + number % 6}")))

        # When somebody asks, from an address of its own or from one of theirs
        answers = [ask(api.port, address=address) for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3")]

    # Then it is answered
    assert answers == [200, 200, 200]


def test_requests_that_are_being_answered_are_not_closed_for_others(api: _Api) -> None:
    # Given as many requests under way as one address may have
    with ExitStack() as open_ones:
        held = [open_ones.enter_context(closing(api.hold("127.0.0.2"))) for _ in range(OF_ONE_ADDRESS)]
        poll(lambda: ask(api.port, address="127.0.0.2") == 503, "one more of this address is refused")

        # Then others are answered, and so are they
        assert ask(api.port) == 200
        for connection in held:
            connection.sendall(b"123456789")
            assert connection.recv(65536).startswith(b"HTTP/1.1 405")


def test_probes_are_answered_while_every_place_is_taken(api: _Api) -> None:
    # Given as many requests under way as all may have
    with ExitStack() as open_ones:
        for number in range(IN_ALL):
            open_ones.enter_context(closing(api.hold(f"127.0.0.{2 + number % 4}")))
        poll(lambda: ask(api.port) == 503, "one more is refused")

        # Then the listener for probes answers, and tells Prometheus
        assert ask(api.health_port) == 200
        with closing(http.client.HTTPConnection("127.0.0.1", api.health_port, PATIENCE_S)) as connection:
            connection.request("GET", "/metrics")
            metrics = connection.getresponse().read().decode()

    assert 'notifier_http_connections_refused_total{reason="crowded"}' in metrics
    assert 'notifier_failure_queue_size{queue="failed-email"}' in metrics


def test_an_answer_that_is_under_way_is_not_written_into(api: _Api) -> None:
    # Given a request whose body is not complete, and trailers that are too large
    client = api.connect()
    send_until_refused(client, CHUNKED + b"1\r\na\r\n0\r\n", LINE, 5)

    # Then there is one answer, or none
    received = b""
    with suppress(ConnectionResetError), closing(client):
        while data := client.recv(65536):
            received += data
    assert received.count(b"HTTP/1.1 ") <= 1


def test_it_listens_where_its_settings_say(api: _Api, tmp_path: Path) -> None:
    """Without this the tests above could pass because nobody answers at all."""
    assert ask(api.port) == ask(api.health_port) == ask(api.health_port, "/metrics") == 200
    assert ask(api.health_port, "/v1/endpoints") == 404
