"""A real HTTP receiver that misbehaves on request; raw asyncio, so that it can break the protocol."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.servers.certificates import Certificate
from tests.servers.inbox import Inbox
from tests.servers.loop_thread import LoopThread
from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port


@dataclass(frozen=True)
class Request:
    """One request as it came: header names in their own case, in order, repeated ones kept."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    received_at: float

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @cached_property
    def delivery(self) -> str:
        """The delivery's id, which our `webhook-id` is; kept as `Mail.delivery` is."""
        return self.header("webhook-id") or ""


Answer = Callable[[asyncio.StreamWriter], Coroutine[Any, Any, bool]]
"""Writes a response; returns whether the connection can be used again."""


@dataclass
class Counters:
    """What happened across all connections."""

    connections: int = 0
    open_connections: int = 0
    peak_connections: int = 0
    bytes_sent: int = 0


@dataclass
class _Mode:
    answer: Answer
    times: int | None


@dataclass
class _Modes:
    """What each path answers; `times` uses later the path answers well again."""

    by_path: dict[str, list[_Mode]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, path: str, mode: _Mode) -> None:
        with self.lock:
            self.by_path.setdefault(path, []).insert(0, mode)

    def take(self, path: str) -> Answer | None:
        with self.lock:
            for mode in self.by_path.get(path, []):
                if mode.times is None:
                    return mode.answer
                if mode.times > 0:
                    mode.times -= 1
                    return mode.answer
        return None

    def clear(self) -> None:
        with self.lock:
            self.by_path.clear()


class HttpSink:
    """A webhook receiver on a loopback port, in a thread of its own. Every path answers 204 until told otherwise."""

    def __init__(self, *, certificate: Certificate | None = None) -> None:
        self._inbox: Inbox[Request] = Inbox()
        self._modes = _Modes()
        self._writers: set[asyncio.StreamWriter] = set()
        self._scheme = "https" if certificate else "http"
        self._tls = certificate.server_context() if certificate else None
        self.counters = Counters()
        self.port = free_port()
        self._thread = LoopThread("http-sink")
        self._thread.call(self._listen())

    @property
    def url(self) -> str:
        """The address without a path."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """Every whole request so far, in order."""
        return self._inbox.items()

    def wait_for(self, count: int, timeout: float = PATIENCE_S) -> list[Request]:
        """Returns all requests as soon as `count` have come."""
        return self._inbox.wait_for(count, timeout)

    def status(
        self,
        path: str,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        times: int | None = None,
    ) -> None:
        """Answers a path with a status, such as 503 with `headers={"Retry-After": "120"}`."""
        self._modes.add(path, _Mode(_responds(status, dict(headers or {}), body), times))

    def redirect(self, path: str, target: str, *, status: int = 302, times: int | None = None) -> None:
        """Sends the caller elsewhere."""
        self.status(path, status, headers={"Location": target}, times=times)

    def hang(self, path: str, *, times: int | None = None) -> None:
        """Never answers."""
        self._modes.add(path, _Mode(_hangs, times))

    def drop(self, path: str, *, times: int | None = None) -> None:
        """Closes the connection instead of answering."""
        self._modes.add(path, _Mode(_drops, times))

    def drip(self, path: str, *, seconds_per_byte: float = 0.2, times: int | None = None) -> None:
        """Answers one byte at a time, without end: each byte resets a naive read timeout."""
        self._modes.add(path, _Mode(_drips(seconds_per_byte), times))

    def endless(self, path: str, *, size: int = 1_000_000_000, times: int | None = None) -> None:
        """Answers 200 with a body that only a capped reader survives; `counters.bytes_sent` tells how much went out."""
        self._modes.add(path, _Mode(self._sends_endlessly(size), times))

    def garbage(self, path: str, *, times: int | None = None) -> None:
        """Answers something that is not HTTP."""
        self._modes.add(path, _Mode(_writes_garbage, times))

    def behave(self) -> None:
        """Every path answers 204 again."""
        self._modes.clear()

    def clear(self) -> None:
        """Forgets requests and modes."""
        self._inbox.clear()
        self._modes.clear()

    def stop(self) -> None:
        """Stops listening and cuts every connection; `start` listens again on the same port."""
        self._thread.call(self._close_listener())

    def start(self) -> None:
        """Listens again after `stop`."""
        self._thread.call(self._listen())

    def close(self) -> None:
        """Ends the server and its thread."""
        self._thread.close(self._close_listener)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls, backlog=1024)

    async def _close_listener(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counters = self.counters
        counters.connections += 1
        counters.open_connections += 1
        counters.peak_connections = max(counters.peak_connections, counters.open_connections)
        self._writers.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            # The caller went away in the middle: its right, and what some tests are about.
            return
        finally:
            self._writers.discard(writer)
            counters.open_connections -= 1
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.rstrip("\r\n").split("\r\n")
        method, path, _ = start.split(" ", 2)
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        body = await _read_body(reader, {name.lower(): value for name, value in headers})
        self._inbox.add(Request(method, path, headers, body, time.time()))
        answer = self._modes.take(path.partition("?")[0]) or _responds(204, {}, b"")
        return await answer(writer)

    def _sends_endlessly(self, size: int) -> Answer:
        async def answer(writer: asyncio.StreamWriter) -> bool:
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            chunk = b"x" * 65_536
            for _ in range(0, size, len(chunk)):
                writer.write(chunk)
                await writer.drain()
                self.counters.bytes_sent += len(chunk)
            return False

        return answer


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


def _responds(status: int, headers: dict[str, str], body: bytes) -> Answer:
    lines = [f"HTTP/1.1 {status} sink", *(f"{name}: {value}" for name, value in headers.items())]
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    response = "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def answer(writer: asyncio.StreamWriter) -> bool:
        writer.write(response)
        await writer.drain()
        return True

    return answer


async def _hangs(writer: asyncio.StreamWriter) -> bool:
    await asyncio.Event().wait()
    return False


async def _drops(writer: asyncio.StreamWriter) -> bool:
    writer.transport.abort()
    return False


async def _writes_garbage(writer: asyncio.StreamWriter) -> bool:
    writer.write(b"\x00\xffthis is not http\r\n\r\n")
    await writer.drain()
    return False


def _drips(seconds_per_byte: float) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(seconds_per_byte)
        return False

    return answer
