"""`Endpoint`: a registered webhook URL of a tenant, with its secrets and what it subscribed to."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from enum import StrEnum

from notifier.domain.breaker import Breaker
from notifier.domain.limit import Rate

#: How the reason of a delivery begins that was skipped because a person disabled its endpoint.
DISABLED = "the endpoint is disabled"


class EndpointState(StrEnum):
    """Whether deliveries go to an endpoint."""

    ENABLED = "enabled"
    PAUSED = "paused"
    """Deliveries are planned and held until somebody resumes it."""
    DISABLED = "disabled"
    """Nothing is sent to it. What is planned is skipped and parked when a person disabled it, and otherwise held."""


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
    automatic: bool = False
    """Disabled by what it answered, or by days of failing: nobody has decided yet that it is not wanted."""
    breaker: Breaker | None = None
    """What is remembered of its failures; None when there is nothing, which is the rule."""

    @property
    def held_because(self) -> str:
        """Why deliveries to it are held now; empty when they are not."""
        reason = self.reason or "no reason given"
        if self.state is EndpointState.PAUSED:
            return f"the endpoint is paused: {reason}"
        if self.state is EndpointState.DISABLED and self.automatic:
            return f"the endpoint was disabled: {reason}"
        if self.state is EndpointState.ENABLED and self.breaker is not None and self.breaker.is_open:
            return f"the endpoint is left alone after {self.breaker.code}"
        return ""

    @property
    def skipped_because(self) -> str:
        """Why deliveries to it are skipped now; empty when they are not."""
        if self.state is not EndpointState.DISABLED or self.automatic:
            return ""
        return f"{DISABLED}: {self.reason or 'no reason given'}"

    @staticmethod
    def beyond_because(most: int) -> str:
        """Why a delivery is neither sent nor held: so many wait already."""
        return (
            f"not held: {most:,} deliveries wait for the endpoint already (NOTIFIER_ENDPOINT_HELD_MAX); "
            "no copy is kept, so it cannot be replayed"
        )

    def wants(self, event_type: str) -> bool:
        """Whether it subscribed to this event type."""
        return any(fnmatch.fnmatchcase(event_type, pattern) for pattern in self.event_types)
