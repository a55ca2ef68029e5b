"""A webhook receiver that verifies signatures as a customer's code would, from the specification alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

from notifier.demo.listener import Listener, QuietHandler

#: Standard Webhooks 1.0 asks for "some allowable tolerance"; its reference library uses five minutes.
TOLERANCE_S = 300


@dataclass(frozen=True, slots=True)
class Call:
    """One received webhook."""

    delivery: str
    verified: bool
    body: Any
    headers: tuple[tuple[str, str], ...]


class Catcher(Listener):
    """An HTTP server on a free loopback port. Set ``secret`` once the endpoint is registered."""

    def __init__(self) -> None:
        super().__init__("catcher", _Handler)
        self.secret = ""
        self._calls: list[Call] = []

    @property
    def calls(self) -> list[Call]:
        """Everything received so far, oldest first."""
        with self.lock:
            return list(self._calls)

    def take(self, headers: dict[str, str], body: bytes) -> bool:
        """Keep a call; returns whether its signature is right."""
        is_right = verified(self.secret, headers, body)
        call = Call(headers.get("webhook-id", ""), is_right, _json(body), tuple(sorted(headers.items())))
        with self.lock:
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


class _Handler(QuietHandler):
    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        is_right = self.server.owner.take({name.lower(): value for name, value in self.headers.items()}, body)
        self.send_response(204 if is_right else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()
