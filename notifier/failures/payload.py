"""`Payload`: what was published for an entry of a failure queue, as people are shown it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from notifier.domain.cloudevents import BATCH, STRUCTURED
from notifier.domain.parked import ParkedBatch, ParkedEvent


@dataclass(frozen=True, slots=True)
class Unseen:
    """A payload that was not found in the time that was given."""

    messages: int
    """Of its queue that were not looked at."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What was published: the message as it came, or what travels with a delivery."""

    content_type: str
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str | None:
        """The body, when it is one."""
        try:
            return self.body.decode("utf-8")
        except UnicodeDecodeError:
            return None

    @property
    def base64(self) -> str | None:
        """The body, when it is no text."""
        return b64encode(self.body).decode("ascii") if self.text is None else None

    @classmethod
    def of(cls, message: ParkedBatch | ParkedEvent) -> Payload:
        """Of one entry."""
        if isinstance(message, ParkedEvent):
            return cls(message.content_type, {n: str(v) for n, v in message.headers.items()}, message.body)
        events = [event.published for event in message.batch.events]
        if len(events) == 1:
            return cls(STRUCTURED, {}, events[0])
        return cls(BATCH, {}, b"[" + b",".join(events) + b"]")
