"""What a connection to the API may cost before anybody has shown a token: bytes and seconds of a head, and how many.

uvicorn's protocol on httptools bounds none of it: 200 MB of header lines were read and kept, a head that is never
finished kept its connection for ever, and idle connections took every place. Here the places are given to whoever asks:
of the connections that do nothing the oldest is closed for a new one, never one whose request is being answered.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from notifier import metrics
from notifier.api.problems import CONTENT_TYPE, RETRY_AFTER_S, HttpProblem

#: Seconds, and bytes, for which what a refused client still sends is read and thrown away: closed at once, the answer
#: would be lost to a reset.
LINGER_S, LINGER_BYTES = 2.0, 1024 * 1024
#: Seconds a client may take no byte of its answer.
STALLED_S = 30.0
#: Bytes of framing that a byte of a chunked body may bring along: a chunk of one byte has six.
_FRAMING = 16


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one process allows."""

    connections: int = 1000
    per_address: int = 200
    """Of one address; 0 is any number."""
    head_bytes: int = 32 * 1024
    head_seconds: float = 10.0
    idle_seconds: int = 30


class Room:
    """The places of one process. Those who do nothing stand in two rows, the oldest first."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._open: dict[str, int] = {}
        self._total = 0
        # Whoever has sent a whole request before is closed after all who never have.
        self._rows: tuple[OrderedDict[Connection, None], ...] = (OrderedDict(), OrderedDict())

    def enter(self, connection: Connection) -> bool:
        """Whether there is a place, if need be by closing a connection that does nothing."""
        address = connection.address
        mine = self._open.get(address, 0)
        most = self._bounds.per_address
        if most and mine >= most and not self._close_one(address):
            return False
        if self._total >= self._bounds.connections and not self._close_one(None):
            return False
        self._open[address] = self._open.get(address, 0) + 1
        self._total += 1
        return True

    def leave(self, connection: Connection) -> None:
        """It is gone."""
        self.works(connection)
        self._total -= 1
        left = self._open[connection.address] - 1
        if left:
            self._open[connection.address] = left
        else:
            del self._open[connection.address]

    def rests(self, connection: Connection, *, known: bool) -> None:
        """It waits for a request; ``known`` if one was answered on it before."""
        self.works(connection)
        self._rows[known][connection] = None

    def works(self, connection: Connection) -> None:
        """It has a request."""
        for row in self._rows:
            row.pop(connection, None)

    def _close_one(self, address: str | None) -> bool:
        for row in self._rows:
            for connection in row:
                if address is None or connection.address == address:
                    connection.make_room()
                    return True
        return False


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds. `protocol` gives it those of a process."""

    bounds: Bounds
    room: Room

    address = ""
    _is_in = False
    _is_refused = False
    _has_asked = False
    _lingered = 0
    _head = 0
    """Bytes of the names and values that were read."""
    _framing = 0
    """Bytes of this request that were no body."""
    _timer: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _problem: HttpProblem | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or refuse."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._is_in = self.room.enter(self)
        if self._is_in:
            self._rest()
        else:
            self._refuse(_crowded(self.bounds))

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        super().connection_lost(exc)
        self._stop_timers()
        if self._is_in:
            self._is_in = False
            self.room.leave(self)

    def data_received(self, data: bytes) -> None:
        """Count what is no body, and refuse when it is too much."""
        if self._is_refused:
            self._linger(len(data))
            return
        self._framing += len(data)
        super().data_received(data)
        if self._framing > self.bounds.head_bytes and not self._is_refused:
            self._refuse(_too_large(self.bounds))
        elif self._timer is None and self._is_between():
            self._arm()

    def on_message_begin(self) -> None:
        """Of this request."""
        self._head = self._framing = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Of any length so far."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head, or a trailer behind a chunked body."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request begins."""
        self._disarm()
        self.room.works(self)
        # What came with the head in one read is not known to be framing; what follows is counted.
        self._framing = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Bytes that are bounded by `Edge`."""
        self._framing = max(0, self._framing - _FRAMING * len(body))
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._has_asked = True
        if not self.pipeline and not self.transport.is_closing():
            self.room.rests(self, known=True)

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._stop_stalled()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's word for it
        """What is no HTTP, or more than we read."""
        self._refuse(self._problem or _unreadable())

    def make_room(self) -> None:
        """Leave for somebody else; nothing of it is answered now."""
        metrics.HTTP_REFUSED.labels("idle").inc()
        self.transport.close()
        self.room.works(self)
        if self._is_in:
            self._is_in = False
            self.room.leave(self)

    def _rest(self) -> None:
        self.room.rests(self, known=self._has_asked)
        self._arm()

    def _is_between(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > self.bounds.head_bytes:
            self._problem = _too_large(self.bounds)
            raise ValueError("the head is too large")  # httptools ends with it, and `send_400_response` tells

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self.bounds.head_seconds, self._on_late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_late(self) -> None:
        self._timer = None
        if not self._is_between():
            return
        if self._framing or self._head:
            self._refuse(_too_slow(self.bounds))
        else:
            self.transport.close()

    def _refuse(self, problem: HttpProblem) -> None:
        self._is_refused = True
        self._disarm()
        self.room.works(self)
        metrics.HTTP_REFUSED.labels(problem.body.type.rpartition(":")[2]).inc()
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started or self.pipeline:
                # Two answers cannot be written into each other.
                self.transport.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_answer(problem))
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)

    def _linger(self, size: int) -> None:
        self._lingered += size
        if self._lingered > LINGER_BYTES:
            self.transport.close()

    def _stop_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _stop_timers(self) -> None:
        self._disarm()
        self._stop_stalled()


def protocol(bounds: Bounds) -> type[Connection]:
    """The protocol of one process, for uvicorn's ``http``."""
    return type("BoundedConnection", (Connection,), {"bounds": bounds, "room": Room(bounds)})


def _answer(problem: HttpProblem) -> bytes:
    content = problem.body.model_dump_json().encode()
    headers = {
        "content-type": CONTENT_TYPE,
        "content-length": str(len(content)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "connection": "close",
        **(problem.headers or {}),
    }
    status = f"HTTP/1.1 {problem.status_code} {HTTPStatus(problem.status_code).phrase}"
    return "\r\n".join([status, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode() + content


def _crowded(bounds: Bounds) -> HttpProblem:
    return HttpProblem(
        503,
        "crowded",
        "Too many connections",
        f"{bounds.per_address or bounds.connections:,} of one address and {bounds.connections:,} in all may be open",
        do="close connections that are not used, and try again",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _too_large(bounds: Bounds) -> HttpProblem:
    return HttpProblem(
        431,
        "head_too_large",
        "The head of the request is too large",
        f"path and header lines may have {bounds.head_bytes:,} bytes",
        where="headers",
        do="send fewer or shorter header lines",
    )


def _too_slow(bounds: Bounds) -> HttpProblem:
    return HttpProblem(
        408,
        "head_too_slow",
        "The head of the request did not arrive in time",
        f"it was not complete after {bounds.head_seconds:g} s",
        where="headers",
        do="send it at once",
    )


def _unreadable() -> HttpProblem:
    return HttpProblem(400, "http", "This is not HTTP/1.1", "a line of it cannot be read", do="correct the request")
