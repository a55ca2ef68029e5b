"""A webhook receiver that verifies signatures as a customer's code would, from the specification alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Standard Webhooks 1.0 asks for "some allowable tolerance"; its reference library uses five minutes.
TOLERANCE_S = 300


@dataclass(frozen=True, slots=True)
class Call:
    """One received webhook."""

    delivery: str
    verified: bool
    body: Any
    headers: tuple[tuple[str, str], ...]


class Catcher:
    """An HTTP server on a free loopback port. Set ``secret`` once the endpoint is registered."""

    def __init__(self) -> None:
        self.secret = ""
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.catcher = self
        self._thread = threading.Thread(target=self._server.serve_forever, name="catcher", daemon=True)

    def start(self) -> int:
        """Listens from now on; returns the port."""
        self._thread.start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def calls(self) -> list[Call]:
        """Everything received so far, oldest first."""
        with self._lock:
            return list(self._calls)

    def take(self, headers: dict[str, str], body: bytes) -> bool:
        """Keep a call; returns whether its signature is right."""
        is_right = verified(self.secret, headers, body)
        call = Call(headers.get("webhook-id", ""), is_right, _json(body), tuple(sorted(headers.items())))
        with self._lock:
            self._calls.append(call)
        return is_right


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Standard Webhooks 1.0: HMAC-SHA256 over ``id.timestamp.body``, any of the space-separated signatures."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return False
    signed = f"{identity}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected, signature) for signature in given)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


class _Server(ThreadingHTTPServer):
    catcher: Catcher
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        is_right = self.server.catcher.take({name.lower(): value for name, value in self.headers.items()}, body)
        self.send_response(204 if is_right else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """The page shows what came; the terminal stays quiet."""
