"""What a channel file would make of a message, for people: the request, with the names of settings for their values."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from notifier.domain.contacts import PHONE, parse_contact
from notifier.domain.delivery import ChannelRef, Contact, Destination, RecipientRef
from notifier.domain.message import TextMessage
from notifier.errors import InvalidAddress, RenderError
from notifier.rendering.requests import RenderedRequest
from notifier.rules.channel_files import CompiledProvider


def preview(compiled: CompiledProvider, message: TextMessage, to: Destination, context: dict[str, Any]) -> str:
    """Method, URL, headers and body. Raises `RenderError`."""
    settings = {name: name for name in compiled.settings}
    address = _address(to) if isinstance(to, Contact) else _somebody(compiled, to)
    names = {
        **context,
        "text": message.text,
        "subject": message.subject,
        "address": address,
        "locale": recipient_of(to)["locale"],
        "settings": settings,
    }
    return _written(compiled, compiled.request.render(names))


def recipient_of(to: Destination) -> dict[str, str]:
    """What templates of a channel file see of whom it goes to; of people known by id only the worker knows more."""
    found = {"id": to.recipient if isinstance(to, RecipientRef) else "", "email": "", "phone": ""}
    if not isinstance(to, Contact):
        return {**found, "name": "", "locale": "", "timezone": ""}
    phone = to.at if to.contact == PHONE else ""
    return {**found, "phone": phone, "name": to.name, "locale": to.locale, "timezone": to.timezone}


def _address(to: Contact) -> str:
    """As a worker reads it."""
    try:
        return parse_contact(to.contact, to.at)
    except InvalidAddress as error:
        raise RenderError(str(error)) from error


def _somebody(compiled: CompiledProvider, to: Destination) -> str:
    if isinstance(to, ChannelRef):
        return ""
    if compiled.url_is_address:
        return f"https://{compiled.provider.hosts[0]}/"
    return f"{compiled.provider.kind} of {to.identity}"


def _written(compiled: CompiledProvider, request: RenderedRequest) -> str:
    headers = [("content-type", request.content_type), *request.headers]
    if compiled.request.basic is not None:
        # As it was before it was encoded (RFC 7617): here it is made of names. It is the last one.
        headers[-1] = ("authorization", "Basic " + b64decode(headers[-1][1].removeprefix("Basic ")).decode())
    lines = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in headers)]
    return "\n".join(lines) + "\n\n" + request.body.decode("utf-8", "replace")
