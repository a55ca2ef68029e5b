"""``python -m tests.bench.slow_receiver SECONDS ADDRESS …``: a webhook receiver that answers 204 after so many seconds.

Prints its port and then, whenever it grows, the most requests that have waited for an answer at once.
"""

import asyncio
import os
import sys
from typing import Any

import uvloop

_LENGTH, _END = b"content-length:", b"\r\n\r\n"


class Exchange(asyncio.Protocol):
    """One connection, one request at a time."""

    open = most = 0

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._unread = b""
        self._waits = False

    def connection_made(self, transport: Any) -> None:
        """A caller is here."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Start the wait when the request is whole."""
        self._unread += data
        head, end, body = self._unread.partition(_END)
        if not end or self._waits:
            return
        place = head.lower().find(_LENGTH)
        length = int(head[place + len(_LENGTH) :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(body) >= length:
            self._unread = body[length:]
            self._waits = True
            self._count(1)
            asyncio.get_running_loop().call_later(self._seconds, self._answer)

    def connection_lost(self, _: Exception | None) -> None:
        """The caller gave up, or was answered and left."""
        if self._waits:
            self._waits = False
            self._count(-1)

    def _answer(self) -> None:
        if self._waits:
            self._waits = False
            self._count(-1)
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    @classmethod
    def _count(cls, change: int) -> None:
        Exchange.open += change
        if Exchange.open > Exchange.most:
            Exchange.most = Exchange.open
            os.write(1, f"{Exchange.most}\n".encode())


async def main() -> None:
    """Until killed."""
    seconds, addresses = float(sys.argv[1]), sys.argv[2:]
    loop = asyncio.get_running_loop()
    first = await loop.create_server(lambda: Exchange(seconds), addresses[0], 0, backlog=4096)
    port = first.sockets[0].getsockname()[1]
    for address in addresses[1:]:
        await loop.create_server(lambda: Exchange(seconds), address, port, backlog=4096)
    os.write(1, f"port {port}\n".encode())
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
