"""`Parked`: a delivery (or an event that never became one) in a failure queue, and the format it is parked in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from notifier.domain.outcome import Cause

#: Version of the message `ParkedMessage.encode` writes into a failure queue.
PARKED_VERSION = 1


@dataclass(frozen=True, slots=True)
class Parked:
    """What operators see of one entry of a failure queue."""

    id: str
    """The delivery id; for ``failed-intake`` the event key, or ``raw_…`` when there is not even an event."""
    queue: str
    cause: Cause
    reason: str
    """For people: the code and the start of the reply, or the error text."""
    parked_at: float
    """Unix seconds."""
    event: str = ""
    """`Event.key`."""
    event_type: str = ""
    tenant: str = ""
    rule: str = ""
    destination: str = ""
    """Masked."""
    code: str = ""
    attempts: int = 0
    template: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what travels in the failure queue, the index and ``--json`` output."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, wire: dict[str, Any]) -> Parked:
        """Raises ``KeyError``/``ValueError``/``TypeError`` for anything `as_dict` did not write."""
        return cls(**{**wire, "cause": Cause(wire["cause"])})
