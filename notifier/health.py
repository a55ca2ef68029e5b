"""/healthz, /readyz and /metrics of any role: in an asyncio process, in a gevent-patched one, and inside the API.

A plain threaded HTTP server is right for all of them: its threads are greenlets once gevent has patched the process,
and beside an event loop they answer even while the loop is busy. `answer` is shared with the API, which serves the
same three paths itself.
"""

from __future__ import annotations

import errno
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from notifier import __version__, metrics, zones
from notifier.logs import get, wide

_log = get("health")

#: A probe that has not sent its request by then is hung up on, so that idle connections cannot collect.
_REQUEST_TIMEOUT_S = 5.0
#: How often the accepting thread looks whether it should end.
_STOP_POLL_S = 0.5


class Checks(Protocol):
    """What a role needs in order to work. Called from any thread or greenlet, so it must not touch an event loop."""

    def ready(self) -> dict[str, str | None]:
        """Dependency → None when it is fine, else the reason in words: ``{"redis": "connection refused"}``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    content_type: str
    body: bytes


def answer(path: str, checks: Checks, accept: str = "", alive: Callable[[], str | None] = lambda: None) -> Answer:
    """The answer to GET ``path``; ``alive`` gives the reason why this process should be restarted, or None."""
    if path == "/healthz":
        reason = alive()
        return _json(
            200 if reason is None else 503, {"status": reason or "ok", "version": __version__, "zones": zones.VERSION}
        )
    if path == "/readyz":
        reasons = _reasons(checks)
        is_ready = not any(reasons.values())
        shown = {name: reason or "ok" for name, reason in reasons.items()}
        return _json(200 if is_ready else 503, {"status": "ok" if is_ready else "not ready", "checks": shown})
    if path == "/metrics":
        body, content_type = metrics.exposition(accept)
        return Answer(200, content_type, body)
    return _json(404, {"status": "no such page; there are /healthz, /readyz and /metrics"})


def _reasons(checks: Checks) -> dict[str, str | None]:
    try:
        return checks.ready()
    except Exception as error:  # a check that breaks is itself the reason; a probe must get an answer
        return {"checks": f"{type(error).__name__}: {error}"}


def _json(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, "application/json", json.dumps(body).encode() + b"\n")


class HealthServer:
    """Serves `answer` on its own daemon thread; port 0 takes any free port, which `start` returns."""

    def __init__(
        self,
        checks: Checks,
        host: str,
        port: int,
        alive: Callable[[], str | None] = lambda: None,
        measure: Callable[[], None] = lambda: None,
    ) -> None:
        """``measure`` brings up to date, before the metrics are told, what is only known when it is asked for."""

        def reply(path: str, accept: str) -> Answer:
            if path == "/metrics":
                measure()
            return answer(path, checks, accept, alive)

        self._answer = reply
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listens from now on and returns the port: another one, with a warning, when the wanted one is taken.

        Two processes on one machine must both be able to run; a probe that asks the wrong one is told by the log.
        """
        try:
            self._server = _Server((self._host, self._port), self._answer)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            self._server = _Server((self._host, 0), self._answer)
            port = int(self._server.server_address[1])
            wide(_log, "health.elsewhere", level=logging.WARNING, wanted=self._port, port=port)
        self._thread = threading.Thread(target=self._server.serve, name="health", daemon=True)
        self._thread.start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stops listening and waits until the thread has ended."""
        if self._server is not None and self._thread is not None:
            self._server.stopping.set()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], reply: Callable[[str, str], Answer]) -> None:
        super().__init__(address, _Handler)
        self.reply = reply
        self.stopping = threading.Event()
        self.socket.settimeout(_STOP_POLL_S)

    def serve(self) -> None:
        """Accepts until told to stop.

        Not `serve_forever`: its selector is chosen when `socketserver` is imported, and one chosen before gevent
        patched the process blocks the whole worker.
        """
        while not self.stopping.is_set():
            try:
                request, client = self.get_request()
            except OSError:  # the timeout above, or a client that left while it was being accepted
                continue
            self.process_request(request, client)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A probe that hangs up early is not worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_TIMEOUT_S
    server_version = "notifier"
    sys_version = ""

    def do_GET(self) -> None:
        reply = self.server.reply(self.path.split("?")[0], self.headers.get("Accept", ""))
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_HEAD = do_GET  # noqa: N815 - the name http.server looks up

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Probes come every few seconds; their lines would bury ours."""
