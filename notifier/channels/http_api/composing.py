"""From a rendered message and a channel file to the bytes of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any
from urllib.parse import urlsplit

from notifier.channels.http_api.health import ProviderOrigin
from notifier.channels.http_api.outcomes import Addressing
from notifier.channels.webhook.guard import AddressGuard, Target
from notifier.channels.webhook.request import first_lines, line
from notifier.domain.message import TextMessage
from notifier.domain.value import value
from notifier.errors import InvalidDestination
from notifier.rules.channel_files import CompiledProvider


@value
class OutgoingRequest:
    """Everything a try needs. ``repr`` hides what it says and to whom."""

    asked: Addressing
    place: ProviderOrigin
    target: Target | None = field(repr=False)
    head: bytes = field(repr=False)
    """The whole head."""
    body: bytes = field(repr=False)
    private: tuple[str, ...] = field(repr=False)
    """What no answer may repeat into the ledger: settings' values, the address, the text."""
    expires: float | None = None
    """Unix seconds from which it must not leave any more."""
    missing: tuple[str, ...] = ()
    """Settings that the file names and this process does not have: then there is nothing to send."""


def compose(
    compiled: CompiledProvider,
    message: TextMessage,
    *,
    address: str,
    context: Mapping[str, Any],
    settings: Mapping[str, str],
    guard: AddressGuard,
    expires: float | None = None,
) -> OutgoingRequest:
    """Raises `RenderError`, or `InvalidDestination` for a place that nothing can be sent to."""
    asked = Addressing(
        compiled.provider,
        address_in_path="address" in compiled.request.url.reads,
        address_is_url=compiled.url_is_address,
    )
    if missing := missing_settings(compiled, settings):
        return OutgoingRequest(asked, ProviderOrigin(compiled.name, ""), None, b"", b"", (), expires, missing)
    own = {name: settings[name] for name in compiled.settings}
    names = {**context, "text": message.text, "subject": message.subject, "address": address, "settings": own}
    request = compiled.request.render(names)
    target = guard.check_url(request.url)
    if compiled.url_is_address:
        _check_host(compiled, target)
    head = b"".join(
        [
            first_lines(request.method, target.url, target.origin),
            line("content-type", request.content_type),
            *(line(name, value) for name, value in request.headers),
            b"content-length: %d\r\n\r\n" % len(request.body),
        ]
    )
    credentials = [value for name, value in request.headers if name == "authorization"]
    private = (*own.values(), *credentials, *(c.partition(" ")[2] for c in credentials), address, message.text)
    place = ProviderOrigin(compiled.name, target.origin)
    return OutgoingRequest(asked, place, target, head, request.body, private, expires)


def missing_settings(compiled: CompiledProvider, settings: Mapping[str, str]) -> tuple[str, ...]:
    """Settings that the file names and this process does not have."""
    return tuple(name for name in compiled.settings if not settings.get(name))


def _check_host(compiled: CompiledProvider, target: Target) -> None:
    """What a recipient's address says must not lead elsewhere with what is meant for the provider."""
    authority = urlsplit(target.origin).netloc
    for allowed in compiled.provider.hosts:
        host = authority if ":" in allowed else target.host
        if host == allowed or (allowed.startswith("*.") and host.endswith(allowed[1:])):
            return
    raise InvalidDestination(f"the recipient's address leads to another host than {compiled.file} allows (hosts)")
