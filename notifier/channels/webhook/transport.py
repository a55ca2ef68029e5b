"""`WebhookTransport`: one POST to an untrusted endpoint within one wall clock; the only user of aiohttp's client.

Whatever an endpoint does costs at most a slot until the deadline and `REPLY_BYTES` of memory. Redirects are not
followed, cookies not kept, bodies not decompressed, proxies of the environment not used, and no socket is ever
opened to an address that the guard refuses.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from notifier.channels.webhook.answers import Answer, Forbidden, Reply
from notifier.channels.webhook.failures import EXCHANGE_ERRORS, read_failure
from notifier.channels.webhook.guard import AddressGuard, Target
from notifier.channels.webhook.resolver import CheckedResolver, LookUp, look_up
from notifier.channels.webhook.slots import Crowded, Slots
from notifier.engine.wakeups import native
from notifier.errors import ForbiddenTarget

#: Most bytes read of a reply's body; the connection is closed instead of reading on. The ledger keeps 2,000 characters.
REPLY_BYTES = 16 * 1024
#: Most bytes of one reply header, and most headers.
HEADER_BYTES, HEADERS = 8 * 1024, 64
#: Seconds an unused connection is kept. Node.js closes its side after 5 s: a POST sent at that very moment would be
#: cut off with nobody knowing whether it arrived.
KEEPALIVE_S = 4.0
#: Seconds the checked addresses of a name are remembered.
DNS_TTL_S = 10
#: Most of the connections that one endpoint may use: five that are merely busy leave room for the sixth.
ENDPOINT_SHARE = 0.2
#: Seconds an exchange waits for a slot before its delivery goes back to the broker.
SLOT_PATIENCE_S = 0.8


class _Body(aiohttp.Payload):
    """The request body; remembers whether all of it was handed to the connection."""

    _autoclose = True

    def __init__(self, value: bytes) -> None:
        super().__init__(value)
        self._size = len(value)
        self.written = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """For aiohttp's own debugging."""
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Returns when what is left fits into the connection's buffer."""
        await writer.write(self._value)
        self.written = True


class WebhookTransport:
    """Makes exchanges inside one event loop; the first `post` opens the session, `close` ends it.

    ``timeout`` is one wall clock over look-up, connection, TLS, request and reply, so a dripping endpoint cannot
    stretch it; ``connect_timeout`` (per address, TLS included) lets go of silent hosts sooner. Both in seconds.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        timeout: float = 15.0,
        connect_timeout: float = 5.0,
        connections: int = 100,
        ca_file: Path | None = None,
        ask: LookUp = look_up,
    ) -> None:
        self._guard = guard
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._slots = Slots(connections, max(1, int(connections * ENDPOINT_SHARE)))
        # Reading the CA files takes 20 ms, so it is done here and not in the loop.
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._resolver = CheckedResolver(guard, ask)
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, target: Target, headers: Mapping[str, str], body: bytes, *, lane: str = "", expires: float | None = None
    ) -> Answer:
        """One exchange, in the slots of ``lane``: an endpoint's id. Never raises for what network or endpoint do.

        What has expired (unix seconds) by the time it has its slots is not begun.
        """
        held = await self._slots.acquire(lane or target.origin, SLOT_PATIENCE_S)
        if isinstance(held, Crowded):
            return held
        try:
            if expires is not None and time.time() >= expires:
                return Crowded("it expired while it waited its turn", 0.0)
            return await self._exchange(target, headers, _Body(body))
        finally:
            self._slots.release(held)

    def is_slow(self, lane: str) -> bool:
        """Whether an endpoint has been owing an answer for long. From any thread."""
        return self._slots.is_slow(lane)

    def seconds_away(self, lane: str) -> float:
        """How long to stay away from an endpoint that owes nothing but answers; 0 for others. From any thread."""
        return self._slots.seconds_away(lane, time.monotonic())

    async def close(self) -> None:
        """Close the kept connections. Call it in the loop, before the loop ends."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _exchange(self, target: Target, headers: Mapping[str, str], body: _Body) -> Answer:
        reply: Reply | None = None
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._open().post(
                    URL(target.url, encoded=True), data=body, headers=headers, allow_redirects=False
                )
                try:
                    reply = _read_head(response)
                    return await _read_body(response, reply)
                finally:
                    # Closes the connection unless the whole body was read, in which case it has gone back already.
                    response.close()
        except ForbiddenTarget as error:
            return Forbidden(str(error))
        except EXCHANGE_ERRORS as error:
            # Once the status line is there it is the answer, however the rest of the reply ends.
            return reply or read_failure(error, written=body.written)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver,
                ttl_dns_cache=DNS_TTL_S,
                ssl=self._tls,
                keepalive_timeout=KEEPALIVE_S,
                limit=0,  # `Slots` limits; aiohttp's own queue would count against the endpoint's deadline
                socket_factory=self._new_socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"accept": "*/*", "accept-encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=REPLY_BYTES,
                max_line_size=HEADER_BYTES,
                max_field_size=HEADER_BYTES,
                max_headers=HEADERS,
            )
        return self._session

    def _new_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """A socket for one address, checked once more: literal addresses do not pass the resolver.

        Made of Python's own class, not gevent's, which would start a hub in the engine's thread.
        """
        family, kind, protocol, _, where = address
        self._guard.check_address(where[0])
        made: socket.socket = native("socket", "socket")(family, kind, protocol)
        return made


def _read_head(response: aiohttp.ClientResponse) -> Reply:
    headers = response.headers
    return Reply(
        response.status,
        response.reason or "",
        headers.get("retry-after", ""),
        headers.get("location", ""),
        headers.get("content-encoding", ""),
    )


async def _read_body(response: aiohttp.ClientResponse, head: Reply) -> Reply:
    content, body = response.content, b""
    while not content.at_eof() and len(body) < REPLY_BYTES:
        body += await content.read(REPLY_BYTES - len(body))
    return Reply(head.status, head.reason, head.retry_after, head.location, head.encoding, body) if body else head
