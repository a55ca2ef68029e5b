"""`Outcome`: what the channel answered to one try. A closed set: sent, deferred (try again), refused (never).

`code` is a short stable word for metrics and grouping: ``smtp_250``, ``smtp_450_4.2.1``, ``http_503``, ``timeout``,
``connection``, ``dns``, ``tls``, ``render_failed``. `reply` is what the other side said, capped, for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from notifier.domain.value import value

#: Characters of a raw reply kept in the ledger; a 200 kB error page once made a peer's log unpublishable.
REPLY_LIMIT = 2000


class Cause(StrEnum):
    """Why a delivery (or an event) lies in a failure queue; operators group and filter by it."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    SCHEMA = "schema"
    PLANNING = "planning"
    RULE_MISSING = "rule_missing"
    RENDER_FAILED = "render_failed"
    BAD_DESTINATION = "bad_destination"
    BAD_RECIPIENT = "bad_recipient"
    REFUSED = "refused"
    ENDPOINT_GONE = "endpoint_gone"
    ENDPOINT_DISABLED = "endpoint_disabled"
    """Skipped, not failed: a person disabled its endpoint, and may want it sent when it is enabled again."""
    EXHAUSTED = "exhausted"
    UNCERTAIN = "uncertain"
    POISON = "poison"
    HELD = "held"
    """Not failed: it waits in ``held-webhook`` until its endpoint is sent to again."""
    DEAD_LETTERED = "dead_lettered"
    """RabbitMQ moved it by itself for a reason that is not ours: a policy's time to live or length limit."""


@value
class Sent:
    """The other side took it. For email this is hand-over to the relay, not arrival in an inbox."""

    code: str
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: the schedule decides when to try again."""

    code: str
    reply: str = ""
    retry_after: float | None = None
    """Seconds the other side asked for; honoured for the whole endpoint."""
    uncertain: bool = False
    """It may have left: the connection ended after the final dot and before the reply (RFC 1047)."""
    throttled: bool = False
    """The relay or domain said we are too fast."""
    our_fault: bool = False
    """Our login, sender, host name or settings are wrong: operators are warned, the recipients spared."""
    in_vain_for: float = 0.0
    """Seconds before which this delivery alone would be told the same again (greylisting)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Never: parked at once."""

    code: str
    reply: str = ""
    cause: Cause = Cause.REFUSED
    suppress: bool = False
    """The address does not exist: nothing is sent to it again."""
    disable_endpoint: bool = False
    """410 Gone: the endpoint is switched off."""


Outcome = Sent | Deferred | Refused


@dataclass(frozen=True, slots=True)
class NotTried:
    """No answer, because nothing was said: whom it goes through is paused. Costs no try."""

    code: str
    why: str
    seconds: float
    """Until it may be worth looking again."""


@dataclass(frozen=True, slots=True)
class Park:
    """The delivery goes to its failure queue."""

    cause: Cause
    reason: str
    code: str


def clip(reply: str) -> str:
    """A raw reply as the ledger keeps it: at most `REPLY_LIMIT` characters, no control characters but newlines."""
    text = reply[: REPLY_LIMIT + 1]
    if not text.replace("\n", "").isprintable():  # most replies are; looking at each character costs 40 ns
        text = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return text if len(text) <= REPLY_LIMIT else text[: REPLY_LIMIT - 1] + "…"
