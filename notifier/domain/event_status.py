"""`EventStatus`: where an event stands, and `Unplanned`: one that was read and has no deliveries, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from notifier.domain.identity import Identity


class EventStatus(StrEnum):
    """What became of an event; what became of its deliveries, each of them says."""

    PLANNING = "planning"
    """Its deliveries are being written down and queued."""
    PLANNED = "planned"
    """All of its deliveries are queued; none, when no rule wanted it."""
    PARKED = "parked"
    """It, or a part of it, lies in ``failed-intake``; it is planned when it is replayed."""
    WAITING = "waiting"
    """It was put aside until a work queue has room."""


@dataclass(frozen=True, slots=True)
class Unplanned:
    """What the ledger is told of an event that could not be planned, or not yet."""

    identity: Identity
    status: EventStatus
    reason: str
    parked: str = ""
    """Its id in ``failed-intake``."""
    fingerprint: str = ""
    """`Event.fingerprint`; empty for what was no event."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Other:
    """An event that the ledger knows under an id that another one came with."""

    type: str
    received: float
    """Unix seconds."""
