"""`Endpoint`: a registered webhook URL of a tenant, with its secrets and what it subscribed to."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from enum import StrEnum


class EndpointState(StrEnum):
    """Whether deliveries go to an endpoint."""

    ENABLED = "enabled"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a tenant's webhooks go. ``repr`` hides the secrets."""

    id: str
    """``ep_`` and 26 base32 characters."""
    tenant: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    """``whsec_…`` strings, newest first; during rotation the old one signs as well."""
    event_types: tuple[str, ...] = ("*",)
    """Patterns with ``*``; a type that matches one of them is delivered."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Extra request headers, from the allow-list of `channels.webhook`."""
    state: EndpointState = EndpointState.ENABLED
    reason: str = ""
    """Why it is disabled: by whom, or what it answered."""
    description: str = ""
    created: float = 0
    rotated: float = 0
    """Unix seconds of the last rotation; the older secret stops signing `rotation overlap` later."""
    paused_until: float = 0
    """Unix seconds before which nothing is sent: it answered with Retry-After."""

    def wants(self, event_type: str) -> bool:
        """Whether it subscribed to this event type."""
        return any(fnmatch.fnmatchcase(event_type, pattern) for pattern in self.event_types)
