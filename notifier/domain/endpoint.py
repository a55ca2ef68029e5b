"""`Endpoint`: a registered webhook URL of a tenant, with its secrets and what it subscribed to."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from enum import StrEnum

from notifier.domain.breaker import Breaker
from notifier.domain.limit import Rate


class EndpointState(StrEnum):
    """Whether deliveries go to an endpoint."""

    ENABLED = "enabled"
    PAUSED = "paused"
    """Deliveries are planned and held until somebody resumes it."""
    DISABLED = "disabled"
    """Nothing is planned for it, and what is on its way is skipped."""


class OnResume(StrEnum):
    """What becomes of held deliveries when their endpoint is sent to again."""

    DELIVER = "deliver"
    LATEST = "latest"
    """Only the newest of each event type and subject: for receivers that want the state, not its history."""
    DISCARD = "discard"


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
    """Why it is paused or disabled: by whom, or what it answered."""
    description: str = ""
    rate: Rate | None = None
    """How fast it wants to be sent to."""
    created: float = 0
    rotated: float = 0
    """Unix seconds of the last rotation; the older secret stops signing `rotation overlap` later."""
    on_resume: OnResume = OnResume.DELIVER
    """What becomes of held deliveries when it recovers by itself, or is resumed without saying otherwise."""
    breaker: Breaker | None = None
    """What is remembered of its failures; None when there is nothing, which is the rule."""

    @property
    def held_because(self) -> str:
        """Why deliveries to it are held now; empty when they are not."""
        if self.state is EndpointState.PAUSED:
            return f"the endpoint is paused: {self.reason or 'no reason given'}"
        if self.state is EndpointState.ENABLED and self.breaker is not None and self.breaker.is_open:
            return f"the endpoint is left alone after {self.breaker.code}"
        return ""

    def wants(self, event_type: str) -> bool:
        """Whether it subscribed to this event type."""
        return any(fnmatch.fnmatchcase(event_type, pattern) for pattern in self.event_types)
