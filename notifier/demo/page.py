"""The demo's page: events, their deliveries, and every mail and webhook as it arrived."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

#: A mail is shown in a sandboxed frame: no scripts, no requests, whatever a template or its data contains.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; frame-src 'self'"
_MAIL_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Page:
    """Serves the page on a free loopback port; ``state`` is asked for each time the page looks."""

    def __init__(self, state: Callable[[], dict[str, Any]], mail: Callable[[int], str | None]) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.state = state
        self._server.mail = mail
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)

    def start(self) -> str:
        """Listens from now on; returns the address."""
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def stop(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    state: Callable[[], dict[str, Any]]
    mail: Callable[[int], str | None]
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._send(200, "text/html; charset=utf-8", _asset("page.html"), _POLICY)
        elif path == "/page.js":
            self._send(200, "text/javascript; charset=utf-8", _asset("page.js"), _POLICY)
        elif path == "/state":
            self._send(200, "application/json", json.dumps(self.server.state()).encode(), _POLICY)
        elif path.startswith("/mail/") and (html := self._mail(path)) is not None:
            self._send(200, "text/html; charset=utf-8", html.encode(), _MAIL_POLICY)
        else:
            self._send(404, "text/plain; charset=utf-8", b"There is nothing here; the page is at /\n", _POLICY)

    def _mail(self, path: str) -> str | None:
        number = path.removeprefix("/mail/")
        return self.server.mail(int(number)) if number.isdecimal() and len(number) < 9 else None

    def _send(self, status: int, content_type: str, body: bytes, policy: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """The page asks every second; the terminal stays quiet."""


def _asset(name: str) -> bytes:
    return (files("notifier.demo") / name).read_bytes()
