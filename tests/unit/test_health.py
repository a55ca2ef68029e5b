"""Health pages: what they answer, over a real socket, in a plain and in a gevent-patched process."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from notifier.health import HealthServer, answer
from tests.servers.patience import PATIENCE_S


class _Told:
    """Checks that say what the test wants; a process boundary, so the real ones live with each role."""

    def __init__(self, **reasons: str | None) -> None:
        self.reasons = reasons

    def ready(self) -> dict[str, str | None]:
        return self.reasons


class _Broken:
    def ready(self) -> dict[str, str | None]:
        raise RuntimeError("the check itself fell over")


def _get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture
def port() -> Iterator[int]:
    server = HealthServer(_Told(redis=None, broker="connection refused"), "127.0.0.1", 0)
    yield server.start()
    server.stop()


def test_a_process_that_runs_is_healthy_even_while_a_dependency_is_away(port: int) -> None:
    status, body = _get(port, "/healthz")

    assert status == 200
    assert json.loads(body)["status"] == "ok"


def test_readiness_gives_the_reason_in_words(port: int) -> None:
    status, body = _get(port, "/readyz?verbose")

    assert status == 503
    assert json.loads(body)["checks"] == {"redis": "ok", "broker": "connection refused"}


def test_metrics_are_served_beside_health(port: int) -> None:
    status, body = _get(port, "/metrics")

    assert status == 200
    assert b"notifier_build_info" in body


def test_other_paths_are_told_what_there_is(port: int) -> None:
    status, body = _get(port, "/secret")

    assert status == 404
    assert b"/readyz" in body


def test_head_has_no_body(port: int) -> None:
    assert _get(port, "/healthz", "HEAD") == (200, b"")


def test_all_dependencies_fine_is_ready() -> None:
    assert answer("/readyz", _Told(redis=None)).status == 200


def test_a_broken_check_is_a_reason_and_not_a_crash() -> None:
    reply = answer("/readyz", _Broken())

    assert reply.status == 503
    assert b"the check itself fell over" in reply.body


def test_a_process_that_should_be_restarted_says_why() -> None:
    reply = answer("/healthz", _Told(), alive=lambda: "the event loop has not moved for 60 s")

    assert reply.status == 503
    assert b"has not moved" in reply.body


def test_a_taken_port_gives_way_to_another_with_a_warning(port: int, caplog: pytest.LogCaptureFixture) -> None:
    # Given a port that another process's page has
    second = HealthServer(_Told(), "127.0.0.1", port)

    # When a second page wants the same one
    other = second.start()

    # Then it is served elsewhere, and the log says where
    try:
        assert other != port
        assert ("health.elsewhere", {"wanted": port, "port": other}) in [
            (record.message, getattr(record, "fields", None)) for record in caplog.records
        ]
    finally:
        second.stop()


def test_stopping_frees_the_port_and_may_be_repeated() -> None:
    server = HealthServer(_Told(), "127.0.0.1", 0)
    port = server.start()

    server.stop()
    server.stop()

    again = HealthServer(_Told(), "127.0.0.1", port)
    assert again.start() == port
    again.stop()


_PATCHED = """
import http.server, selectors, socketserver  # before the patch, as a library may
from gevent import monkey
monkey.patch_all()
import gevent
from notifier.health import HealthServer

class Fine:
    def ready(self):
        return {"redis": None}

server = HealthServer(Fine(), "127.0.0.1", 0)
port = server.start()
turns = 0

def other():
    global turns
    while True:
        turns += 1
        gevent.sleep(0)

busy = gevent.spawn(other)
import http.client
def get():
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/readyz")
    return connection.getresponse().status
asked = [gevent.spawn(get) for _ in range(20)]
gevent.joinall(asked, timeout=10)
assert [a.value for a in asked] == [200] * 20, [a.value or a.exception for a in asked]
assert turns > 20, turns
busy.kill()
server.stop()
print("fine")
"""


def test_it_serves_from_greenlets_in_a_patched_process_and_lets_others_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PATCHED], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )

    assert done.stdout.strip() == "fine", done.stderr
