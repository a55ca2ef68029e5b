"""`notifier api` as a process: real sockets, slow and broken clients, SIGTERM."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.api.conftest import SECRET_KEY, TEMPLATES, TOKENS
from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.processes import start, stop_group, wait_until


class _Api:
    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            # It may answer without reading on, which is what a large body deserves.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, names)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def api(redis_url: str, tmp_path: Path) -> Iterator[_Api]:
    port, log = free_port(), tmp_path / "api.log"
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "NOTIFIER_BROKER_URL": "amqp://guest:guest@127.0.0.1:1/",
        "NOTIFIER_REDIS_URL": redis_url,
        "NOTIFIER_TEMPLATES": str(TEMPLATES),
        "NOTIFIER_SECRET_KEY": SECRET_KEY,
        "NOTIFIER_API_TOKENS": f"admin:{TOKENS['admin']}",
        "NOTIFIER_API_PORT": str(port),
        "NOTIFIER_HTTP_PORT": "0",
    }
    process = start([sys.executable, "-m", "notifier.cli", "api"], log, environment)
    wait_until(lambda: _is_listening(port), process, log)
    yield _Api(process, port, log)
    stop_group(process, signal.SIGKILL)


def test_it_serves_explains_itself_and_leaves_on_sigterm(api: _Api) -> None:
    # Given a served request, a refused flood and a client that breaks the protocol
    assert api.ask("GET", "/healthz")[0] == 200
    status, body = api.ask("GET", "/v1/endpoints", Authorization=f"Bearer {TOKENS['admin']}")
    assert (status, json.loads(body)) == (200, {"endpoints": [], "next": ""})
    token = f"Bearer {TOKENS['admin']}"
    assert api.ask("POST", "/v1/endpoints", b"x" * 600_000, Authorization=token)[0] == 413
    assert api.ask("POST", "/v1/endpoints", b"x" * 600_000)[0] == 401
    with socket.create_connection(("127.0.0.1", api.port), timeout=PATIENCE_S) as broken:
        broken.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nce-id: a\x00b\r\nContent-Length: zz\r\n\r\n")
        assert broken.recv(4096).startswith(b"HTTP/1.1 400")

    # When
    api.process.send_signal(signal.SIGTERM)

    # Then
    assert api.process.wait(PATIENCE_S) == 0
    lines = [json.loads(line) for line in api.log.read_text().splitlines() if line.startswith("{")]
    answered = [line for line in lines if line["message"] == "request.answered"]
    assert [(line["route"], line["status"]) for line in answered][:2] == [("/v1/endpoints", 200), ("none", 413)]
    assert answered[0]["caller"] == "admin-1"
    assert TOKENS["admin"] not in api.log.read_text()


def test_a_taken_port_is_explained_and_exits_with_1(api: _Api, redis_url: str) -> None:
    environment = {
        # Without those that choose the tests' servers, which are no settings.
        **{name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")},
        "NOTIFIER_REDIS_URL": redis_url,
        "NOTIFIER_TEMPLATES": str(TEMPLATES),
        "NOTIFIER_API_PORT": str(api.port),
    }

    done = subprocess.run(
        [sys.executable, "-m", "notifier.cli", "api"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert done.returncode == 1
    assert "NOTIFIER_API_PORT" in done.stderr
    assert "Traceback" not in done.stderr
