"""How one SMTP transaction ended, as values: a refusal is expected, so it is no exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from notifier.domain.value import value


class Phase(StrEnum):
    """The step of a transaction that got the reply, or that nobody answered."""

    QUEUE = "queue"
    """Waiting for a free connection; nothing was said to the relay."""
    CONNECT = "connect"
    """Connecting, greeting, EHLO and TLS."""
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"
    """The final dot left; only its reply says whether the relay took the mail."""


Breakage = Literal["timeout", "connection", "tls", "dns", "protocol"]


@value
class Accepted:
    """The relay took the mail and is responsible for it now."""

    relay: str
    """``host:port``."""
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The relay answered no, for now (4yz) or for good (5yz)."""

    relay: str
    phase: Phase
    code: int
    text: str
    """What it said, enhanced status code included; several lines are separated by newlines."""
    foreseen: bool = False
    """It follows from what the relay offers: nothing was said to it, and another one may offer more."""


@dataclass(frozen=True, slots=True)
class Broken:
    """There was no usable answer."""

    relay: str
    phase: Phase
    why: str
    uncertain: bool
    """It may have left: our final dot was written and its reply never came (RFC 1047)."""
    kind: Breakage


@dataclass(frozen=True, slots=True)
class Paused:
    """Nothing was said about this mail to anybody: no relay may be used now."""

    relay: str
    seconds: float
    """Until one may be used or probed."""
    why: str
    down: bool
    """Its breaker is open; else it only rests, because it said that we are too fast, or refuses the sender."""
    sender: str = ""
    """The address or ``@domain`` whose mails wait because the relay refuses them; empty when all mails wait."""


Transaction = Accepted | Rejected | Broken | Paused
