"""Names to addresses, every one of them checked: the only way from a host name to a connection.

aiohttp connects to exactly the addresses given here, so a name that answers differently a moment later (DNS rebinding)
gains nothing. Literal addresses never come here; `guard.check_url` has checked them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from notifier.channels.webhook.guard import AddressGuard
from notifier.errors import ForbiddenTarget

LookUp = Callable[[str, int], Awaitable[Sequence[tuple[Any, ...]]]]
"""Host and port to the rows of `socket.getaddrinfo`."""


async def look_up(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    """Asks the system. uvloop does so in libuv's own threads; the engine's loop has no executor (`engine.bridge`)."""
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


class CheckedResolver(AbstractResolver):
    """Resolves a name and refuses it when any of its addresses is refused.

    Any, not all: a name with a public and a private address is either a mistake or an attempt to reach the second.
    """

    def __init__(self, guard: AddressGuard, ask: LookUp = look_up) -> None:
        self._guard = guard
        self._ask = ask

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses to connect to. Raises `ForbiddenTarget`, or `OSError` when there are none."""
        found: dict[str, ResolveResult] = {}
        for row_family, _, proto, _, address in await self._ask(host, port):
            checked = self._check(host, address)
            if family in (socket.AF_UNSPEC, row_family):
                found[checked] = ResolveResult(
                    hostname=host,
                    host=checked,
                    port=port,
                    family=row_family,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
        if not found:
            raise OSError(None, f"{host} has no address")
        return list(found.values())

    async def close(self) -> None:
        """Nothing is kept."""

    def _check(self, host: str, address: Sequence[Any]) -> str:
        try:
            if len(address) > 3 and address[3]:
                raise ForbiddenTarget(f"{address[0]} lies in zone {address[3]} of this machine")
            self._guard.check_address(address[0])
        except ForbiddenTarget as error:
            raise ForbiddenTarget(f"{host} resolves to an address webhooks may not reach: {error}") from error
        return str(address[0])
