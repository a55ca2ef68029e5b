"""What one exchange with an endpoint came to, as plain values: a closed set without a trace of sockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from notifier.channels.webhook.slots import Crowded

FailureCode = Literal["timeout", "dns", "tls", "connection", "protocol"]


@dataclass(frozen=True, slots=True)
class Reply:
    """The endpoint answered with a status line; whatever it said after that is untrusted."""

    status: int
    reason: str = ""
    retry_after: str = ""
    """The Retry-After header as it came."""
    location: str = ""
    encoding: str = ""
    """Content-Encoding: such a body is never decoded, because a few bytes may become gigabytes."""
    body: bytes = b""
    """The first bytes of the body, at most `wire.REPLY_BYTES`."""
    repeated: bool = False
    """It answers the second writing of the request; the first went to a kept connection that closed in silence."""


@dataclass(frozen=True, slots=True)
class Failure:
    """No status line came."""

    code: FailureCode
    detail: str
    """For people: what happened, in words."""
    uncertain: bool = False
    """The request had been written, so the endpoint may have acted on it."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Not sent: its address is one that webhooks may not reach."""

    detail: str
    resolved: bool = False
    """It is what a name resolved to just now, not what the URL says: a sinkhole or a broken resolver answers so too."""


Answer = Reply | Failure | Forbidden | Crowded
