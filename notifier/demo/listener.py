"""`Listener`: what the demo's two servers at the edge of the world have in common."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Listener:
    """An HTTP server on a free loopback port; its handlers find it as ``self.server.owner``."""

    def __init__(self, name: str, handler: type[QuietHandler]) -> None:
        """``name`` is its thread's."""
        self.lock = threading.Lock()
        """Held while what came is looked at: each request has a thread of its own."""
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, name=name, daemon=True)

    def start(self) -> int:
        """Listens from now on; returns the port."""
        self._thread.start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    owner: Any
    daemon_threads = True


class QuietHandler(BaseHTTPRequestHandler):
    """Says nothing of each request."""

    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """The page shows what came; the terminal stays quiet."""
