"""The demo's view of the API: a few calls with the standard library, as any program could make them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from notifier.errors import NotifierError

#: Seconds one call may take; it takes milliseconds, on a busy machine more.
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Api:
    """One API with one token."""

    url: str
    token: str

    def publish(self, events: list[dict[str, Any]]) -> list[str]:
        """Publish CloudEvents in one batch; returns their keys."""
        answer = self.call("POST", "/v1/events", events, content_type="application/cloudevents-batch+json")
        return [accepted["key"] for accepted in answer["accepted"]]

    def event(self, key: str) -> dict[str, Any]:
        """What became of one event."""
        found: dict[str, Any] = self.call("GET", f"/v1/events/{quote(key)}")
        return found

    def add_endpoint(self, url: str, tenant: str) -> dict[str, Any]:
        """Register a webhook; the answer holds its secret."""
        body = {"url": url, "tenant": tenant, "description": "the demo's own receiver"}
        added: dict[str, Any] = self.call("POST", "/v1/endpoints", body)
        return added

    def call(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json") -> Any:
        """One request. Raises `NotifierError` with what the API answered."""
        request = urllib.request.Request(  # noqa: S310 - the demo's own API, on loopback
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": content_type},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")[:500]
            raise NotifierError(f"{method} {path} answered {error.code}: {said}") from error
        except OSError as error:  # refused, reset, or no answer in time
            raise NotifierError(f"{method} {path} got no answer: {error}") from error
