"""From a target to an open `Connection`: resolve, connect to a checked address, encrypt. The deadline is the caller's.

Every address is checked in the statement before a socket is connected to it, wherever it came from. Several addresses
are tried as RFC 8305 describes: the next one begins when one has failed or been silent for `STAGGER_S`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from itertools import zip_longest
from urllib.parse import urlsplit

from notifier.channels.webhook.failures import Unresolved, further
from notifier.channels.webhook.guard import AddressGuard, Target
from notifier.channels.webhook.resolver import Address, CheckedResolver
from notifier.channels.webhook.wire import Connection
from notifier.engine.wakeups import native

#: Seconds a connection attempt has for itself before the next address is tried beside it (RFC 8305 §5).
STAGGER_S = 0.25


class Connector:
    """Opens connections; keeps nothing but what names resolve to."""

    def __init__(self, guard: AddressGuard, resolver: CheckedResolver, tls: ssl.SSLContext, seconds: float) -> None:
        self._guard = guard
        self._resolver = resolver
        self._tls = tls
        self._seconds = seconds

    async def open(self, target: Target, make: Callable[[], Connection]) -> Connection:
        """A connection that may carry a request.

        Raises `ForbiddenTarget`, `Unresolved`, or of all addresses the error that got furthest (`TimeoutError` and
        `ssl.SSLError` among them): an expired certificate is worth knowing, "no route" of the other address is not.
        """
        parts = urlsplit(target.origin)
        host = parts.hostname or ""
        encrypted = parts.scheme == "https"
        addresses = await self._addresses(host, parts.port or (443 if encrypted else 80))
        left = _interleaved(addresses)
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

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        try:
            version = ipaddress.ip_address(host).version
        except ValueError:
            pass
        else:
            return [Address(socket.AF_INET6 if version == 6 else socket.AF_INET, host, port)]
        try:
            return await self._resolver.resolve(host, port)
        except OSError as error:
            raise Unresolved(host, error) from error

    async def _begin(
        self, connected: socket.socket, make: Callable[[], Connection], server_name: str | None
    ) -> Connection:
        loop = asyncio.get_running_loop()
        if server_name is None:
            _, connection = await loop.create_connection(make, sock=connected)
        else:
            _, connection = await loop.create_connection(
                make, sock=connected, ssl=self._tls, server_hostname=server_name
            )
        return connection

    async def _race(self, addresses: Sequence[Address]) -> tuple[Address, socket.socket]:
        """The address that takes a connection first, and the connection; all others are closed."""
        if len(addresses) == 1:
            return addresses[0], await self._connect(addresses[0])
        waiting = list(addresses)
        running: dict[asyncio.Task[socket.socket], Address] = {}
        furthest: OSError | None = None
        try:
            while True:
                if waiting:
                    address = waiting.pop(0)
                    running[asyncio.create_task(self._connect(address))] = address
                stagger = STAGGER_S if waiting else None
                done, _ = await asyncio.wait(running, timeout=stagger, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    address = running.pop(task)
                    if (error := task.exception()) is None:
                        return address, task.result()
                    furthest = further(furthest, error)
                if not (running or waiting):
                    raise furthest or TimeoutError
        finally:
            for task in running:
                task.cancel()
                task.add_done_callback(_close)

    async def _connect(self, address: Address) -> socket.socket:
        # Made of Python's own class, not gevent's, which would start a hub in the engine's thread.
        made: socket.socket = native("socket", "socket")(address.family, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self._seconds):
                self._guard.check_address(address.host)
                await asyncio.get_running_loop().sock_connect(made, (address.host, address.port))
        except BaseException:
            made.close()
            raise
        return made


def _close(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    """One of each family in turn, the first one's family first: a family without a route costs one attempt."""
    first = [address for address in addresses if address.family == addresses[0].family]
    second = [address for address in addresses if address.family != addresses[0].family]
    return [address for pair in zip_longest(first, second) for address in pair if address is not None]
