"""The first of a host's addresses that takes a connection, as RFC 8305 describes: for relays and for webhooks.

The next address begins when one has failed or been silent for `STAGGER_S`. The loop's own way tries one after the
other, each until the system gives up after minutes: a relay with one dead address of eight was down when it came first.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from itertools import zip_longest
from typing import Any, Protocol, TypeVar

from notifier.domain.value import value
from notifier.engine.wakeups import native

#: Seconds a connection attempt has for itself before the next address is tried beside it (RFC 8305 §5).
STAGGER_S = 0.25
#: Ends of an attempt to connect that never left this machine or its network; a silent host is further, an answer most.
_NO_WAY = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class _OfFamily(Protocol):
    """An address of any form."""

    @property
    def family(self) -> int:
        """``AF_INET`` or ``AF_INET6``."""


Where = TypeVar("Where")
_Address = TypeVar("_Address", bound=_OfFamily)


@value
class _Found:
    family: int
    address: Any


async def look_up(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    """Asks the system. uvloop does so in libuv's own threads; the engine's loop has no executor (`engine.bridge`)."""
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def dial(host: str, port: int) -> socket.socket:
    """A connection to the host; `OSError` when none of its addresses takes one. The deadline is the caller's."""
    found = {row[4]: _Found(row[0], row[4]) for row in await look_up(host, port)}
    if not found:
        raise OSError(None, f"{host} has no address")
    return (await race(interleaved(list(found.values())), lambda one: connect(one.family, one.address)))[1]


async def connect(family: int, address: Any) -> socket.socket:
    """A connection to one address."""
    # Made of Python's own class, not gevent's, which would start a hub in the engine's thread.
    made: socket.socket = native("socket", "socket")(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


async def race(
    addresses: Sequence[Where], connecting: Callable[[Where], Awaitable[socket.socket]]
) -> tuple[Where, socket.socket]:
    """The address that takes a connection first, and the connection; all others are closed.

    Raises the error of the attempt that got furthest.
    """
    if len(addresses) == 1:
        return addresses[0], await connecting(addresses[0])
    waiting = list(addresses)
    running: dict[asyncio.Future[socket.socket], Where] = {}
    furthest: OSError | None = None
    try:
        while True:
            if waiting:
                address = waiting.pop(0)
                running[asyncio.ensure_future(connecting(address))] = address
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


def further(one: OSError | None, other: BaseException) -> OSError:
    """Of two failed attempts to connect the one that got further; of two alike the later.

    Raises ``other`` when it is not about the network: an address that may not be reached, or a mistake of ours.
    """
    if not isinstance(other, OSError):
        raise other
    return one if one is not None and _distance(one) > _distance(other) else other


def interleaved(addresses: Sequence[_Address]) -> list[_Address]:
    """One of each family in turn, the first one's family first: a family without a route costs one attempt."""
    first = [address for address in addresses if address.family == addresses[0].family]
    second = [address for address in addresses if address.family != addresses[0].family]
    return [address for pair in zip_longest(first, second) for address in pair if address is not None]


def _distance(error: OSError) -> int:
    if isinstance(error, TimeoutError):
        return 1
    return 0 if error.errno in _NO_WAY else 2


def _close(task: asyncio.Future[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
