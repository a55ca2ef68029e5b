"""Names to addresses, every one of them checked: the only way from a host name to a connection.

Connections are made to exactly the addresses given here, so a name that answers differently a moment later (DNS
rebinding) gains nothing. Literal addresses never come here; `connecting` checks every address once more.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from notifier.channels.webhook.guard import AddressGuard
from notifier.errors import ForbiddenAnswer, ForbiddenTarget

LookUp = Callable[[str, int], Awaitable[Sequence[tuple[Any, ...]]]]
"""Host and port to the rows of `socket.getaddrinfo`."""

#: Seconds the checked addresses of a name are remembered, and most names.
DNS_TTL_S, NAMES = 10.0, 4096


async def look_up(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    """Asks the system. uvloop does so in libuv's own threads; the engine's loop has no executor (`engine.bridge`)."""
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """Where a connection may be made to."""

    family: int
    host: str
    port: int


@dataclass(slots=True)
class _Known:
    until: float
    addresses: list[SocketAddress]


class CheckedResolver:
    """Resolves a name and refuses it when any of its addresses is refused.

    Any, not all: a name with a public and a private address is either a mistake or an attempt to reach the second.
    """

    def __init__(self, guard: AddressGuard, ask: LookUp = look_up) -> None:
        self._guard = guard
        self._ask = ask
        self._known: dict[tuple[str, int], _Known] = {}
        self._asking: dict[tuple[str, int], asyncio.Task[list[SocketAddress]]] = {}

    async def resolve(self, host: str, port: int) -> list[SocketAddress]:
        """The addresses to connect to, in turn another first. Raises `ForbiddenAnswer`, or `OSError` without any."""
        name = (host, port)
        known = self._known.get(name)
        if known is None or known.until <= asyncio.get_running_loop().time():
            known = await self._learn(name)
        known.addresses.append(known.addresses.pop(0))
        return known.addresses[-1:] + known.addresses[:-1]

    async def _learn(self, name: tuple[str, int]) -> _Known:
        """Everybody who asks for a name at the same time shares one look-up, which outlives who gives up on it."""
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.get_running_loop().create_task(self._ask_once(name))
            asking.add_done_callback(lambda _: self._asking.pop(name, None))
        await asyncio.wait([asking])
        addresses = asking.result()
        if len(self._known) >= NAMES:
            self._known.clear()
        known = self._known[name] = _Known(asyncio.get_running_loop().time() + DNS_TTL_S, addresses)
        return known

    async def _ask_once(self, name: tuple[str, int]) -> list[SocketAddress]:
        host, port = name
        found: dict[str, SocketAddress] = {}
        for family, _, _, _, address in await self._ask(host, port):
            checked = self._check(host, address)
            found[checked] = SocketAddress(family, checked, port)
        if not found:
            raise OSError(None, f"{host} has no address")
        return list(found.values())

    def _check(self, host: str, address: Sequence[Any]) -> str:
        try:
            if len(address) > 3 and address[3]:
                raise ForbiddenTarget(f"{address[0]} lies in zone {address[3]} of this machine")
            self._guard.check_address(address[0])
        except ForbiddenTarget as error:
            raise ForbiddenAnswer(f"{host} resolves to an address webhooks may not reach: {error}") from error
        return str(address[0])
