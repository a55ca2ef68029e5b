"""The resolver refuses a name when any of its addresses is refused, and hands on what it checked."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from notifier.channels.webhook.guard import AddressGuard, read_networks
from notifier.channels.webhook.resolver import CheckedResolver, SocketAddress
from notifier.errors import ForbiddenTarget

Row = tuple[Any, ...]


def row(address: str, scope: int = 0) -> Row:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 443, 0, scope))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))


def resolver(*rows: Row, allow: str = "") -> CheckedResolver:
    async def answer(host: str, port: int) -> Sequence[Row]:
        return rows

    return CheckedResolver(AddressGuard(read_networks(allow)), answer)


def test_every_public_address_is_handed_on_as_a_number() -> None:
    checked = resolver(row("8.8.8.8"), row("2606:4700::1111"), row("8.8.8.8"))

    found = asyncio.run(checked.resolve("example.com", 443))

    assert found == [
        SocketAddress(socket.AF_INET, "8.8.8.8", 443),
        SocketAddress(socket.AF_INET6, "2606:4700::1111", 443),
    ]


@pytest.mark.parametrize(
    "rows",
    [
        [row("127.0.0.1")],
        [row("8.8.8.8"), row("10.0.0.1")],
        [row("10.0.0.1"), row("8.8.8.8")],
        [row("8.8.8.8"), row("::1")],
        [row("::ffff:169.254.169.254")],
        [row("2606:4700::1111", scope=2)],
    ],
)
def test_one_address_inside_refuses_the_name(rows: list[Row]) -> None:
    with pytest.raises(ForbiddenTarget, match=r"example\.com resolves to"):
        asyncio.run(resolver(*rows).resolve("example.com", 443))


def test_a_name_without_addresses_is_an_os_error_as_the_system_reports_it() -> None:
    with pytest.raises(OSError, match="no address"):
        asyncio.run(resolver().resolve("example.com", 443))


def test_an_allowed_network_may_be_resolved_to() -> None:
    found = asyncio.run(resolver(row("10.1.2.3"), allow="10.1.0.0/16").resolve("inside.example", 443))

    assert [address.host for address in found] == ["10.1.2.3"]
