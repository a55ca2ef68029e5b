"""From a target to an open `HttpConnection`: resolve, connect, encrypt; the caller sets the deadline.

Every address is checked in the statement before a socket is connected to it, wherever it came from. Several addresses
are tried as `engine.dialing` does.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from notifier.channels.webhook.failures import Unresolved
from notifier.channels.webhook.guard import AddressGuard, Target
from notifier.channels.webhook.resolver import CheckedResolver, SocketAddress
from notifier.channels.webhook.wire import HttpConnection
from notifier.engine.dialing import connect, interleaved, race


class Connector:
    """Opens connections; keeps nothing but what names resolve to."""

    def __init__(self, guard: AddressGuard, resolver: CheckedResolver, tls: ssl.SSLContext, seconds: float) -> None:
        self._guard = guard
        self._resolver = resolver
        self._tls = tls
        self._seconds = seconds

    async def open(self, target: Target, make: Callable[[], HttpConnection]) -> HttpConnection:
        """A connection that may carry a request.

        Raises `ForbiddenTarget`, `Unresolved`, or of all addresses the error that got furthest (`TimeoutError` and
        `ssl.SSLError` among them): an expired certificate is worth knowing, "no route" of the other address is not.
        """
        parts = urlsplit(target.origin)
        host = parts.hostname or ""
        encrypted = parts.scheme == "https"
        addresses = await self._addresses(host, parts.port or (443 if encrypted else 80))
        left = interleaved(addresses)
        encryption: OSError | None = None
        while left:
            try:
                address, connected = await self._race(left)
            except OSError as error:
                raise encryption or error from error
            left.remove(address)
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._begin(connected, make, host.rstrip(".") if encrypted else None)
            except OSError as error:  # TLS; another address may belong to another machine
                connected.close()
                encryption = error
            except BaseException:
                connected.close()
                raise
        raise encryption or OSError(None, f"{host} has no address")

    async def _addresses(self, host: str, port: int) -> Sequence[SocketAddress]:
        try:
            version = ipaddress.ip_address(host).version
        except ValueError:
            pass
        else:
            return [SocketAddress(socket.AF_INET6 if version == 6 else socket.AF_INET, host, port)]
        try:
            return await self._resolver.resolve(host, port)
        except OSError as error:
            raise Unresolved(host, error) from error

    async def _begin(
        self, connected: socket.socket, make: Callable[[], HttpConnection], server_name: str | None
    ) -> HttpConnection:
        loop = asyncio.get_running_loop()
        if server_name is None:
            _, connection = await loop.create_connection(make, sock=connected)
        else:
            _, connection = await loop.create_connection(
                make, sock=connected, ssl=self._tls, server_hostname=server_name
            )
        return connection

    async def _race(self, addresses: Sequence[SocketAddress]) -> tuple[SocketAddress, socket.socket]:
        return await race(addresses, self._connect)

    async def _connect(self, address: SocketAddress) -> socket.socket:
        async with asyncio.timeout(self._seconds):
            self._guard.check_address(address.host)
            return await connect(address.family, (address.host, address.port))
