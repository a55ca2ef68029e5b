"""What happens to every request before and after its route: bounded body, security headers, metrics and one log line.

Plain ASGI: Starlette's BaseHTTPMiddleware costs a task group for each request and cannot bound a body that is streamed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier import logs, metrics
from notifier.api.problems import HttpProblem

#: Seconds a client may take to send its body; slower ones would hold memory and a connection for nothing.
BODY_DEADLINE_S = 30.0
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
)
#: nginx's status for a client that left before it was answered; one that is an error of ours would wake somebody.
_LEFT = 499
_QUIET = ("/healthz", "/readyz", "/metrics")

_log = logs.get("api")


class Edge:
    """Wraps the application.

    ``limit`` says how many bytes a request's body may have, or raises the `HttpProblem` that refuses it unread: without
    a token nobody may make us hold megabytes. None is for a route that reads its body as it comes and keeps none of it;
    each part of that has the time that other bodies have as a whole.
    """

    def __init__(self, app: ASGIApp, limit: Callable[[Scope], int | None], deadline: float = BODY_DEADLINE_S) -> None:
        self._app = app
        self._limit = limit
        self._deadline = deadline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                names = {name for name, _ in message["headers"]}
                message = {**message, "headers": [*message["headers"], *(h for h in _HEADERS if h[0] not in names)]}
            await send(message)

        try:
            if not await self._handle(scope, receive, answer):
                status = _LEFT
        finally:
            _account(scope, status, time.perf_counter() - started)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether the client was there for its answer."""
        try:
            limit = self._limit(scope)
            if limit is None:
                return await self._stream(scope, receive, send)
            async with asyncio.timeout(self._deadline):
                body = await _read(scope, receive, limit)
        except HttpProblem as problem:
            await problem.response()(scope, receive, send)
            return True
        except TimeoutError:
            await _slow(self._deadline).response()(scope, receive, send)
            return True
        if body is None:
            return False
        await self._app(scope, _replay(body, receive), send)
        return True

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> bool:
        is_there = True

        async def part() -> Message:
            nonlocal is_there
            try:
                async with asyncio.timeout(self._deadline):
                    message = await receive()
            except TimeoutError:
                raise _slow(self._deadline) from None
            is_there = message["type"] != "http.disconnect"
            return message

        await self._app(scope, part, send)
        return is_there


async def _read(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """The whole body, or None when the client left. Raises `HttpProblem` 413 at the first byte too many."""
    announced = dict(scope["headers"]).get(b"content-length", b"")
    # Longer than any number we allow: Python refuses to read integers of thousands of digits.
    if announced.isdigit() and (len(announced) > 18 or int(announced) > limit):
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _account(scope: Scope, status: int, seconds: float) -> None:
    # The route's template, never the path: a path carries ids and a label value costs memory for ever.
    route = getattr(scope.get("route"), "path", "") or "none"
    method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD") else "other"
    metrics.HTTP_REQUESTS.labels(method, route, str(status)).inc()
    metrics.HTTP_SECONDS.labels(method, route).observe(seconds)
    if route in _QUIET:
        return
    caller = scope.get("state", {}).get("caller")
    who = getattr(caller, "name", None)
    logs.wide(_log, "request.answered", method=method, route=route, status=status, seconds=seconds, caller=who)


def _too_large(limit: int) -> HttpProblem:
    return HttpProblem(
        413,
        "too_large",
        "The body is too large",
        f"this path takes {limit:,} bytes",
        where="body",
        do="send less at once; publish a link to large content, not the content",
        headers={"Connection": "close"},
    )


def _slow(deadline: float) -> HttpProblem:
    return HttpProblem(
        408,
        "too_slow",
        "The body did not arrive in time",
        f"it was not complete after {deadline:g} s",
        where="body",
        do="send it again",
        headers={"Connection": "close"},
    )
