"""Mails, relays' answers and a clock that stands still."""

from types import SimpleNamespace
from typing import Any

from notifier.engine.smtp import Mail
from notifier.engine.transaction import Accepted, Broken, Phase, Rejected

RELAY = "relay.example:25"
ACCEPTED = Accepted(RELAY, 250, "2.0.0 ok")


class Clock:
    """Time that only moves when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def mail(recipient: str = "r@example.org", sender: str = "s@example.com", author: str = "") -> Mail:
    return Mail(sender, recipient, b"Subject: hello\r\n\r\nhello\r\n", False, None, None, author)


def refusal(phase: Phase, reply: str, *, foreseen: bool = False) -> Rejected:
    code, _, text = reply.partition(" ")
    return Rejected(RELAY, phase, int(code), text, foreseen)


def broken(phase: Phase = Phase.RCPT, kind: Any = "connection") -> Broken:
    return Broken(RELAY, phase, "it hung up", False, kind)


def connection(**changes: Any) -> Any:
    """What is asked of a connection after a mail: the first one on it, answered in turn, unless a test says so."""
    said = {"carried": 1, "was_announced": False, "was_grouped": False, "awaits_replies": True, "rested_at": -1}
    return SimpleNamespace(**{**said, **changes})
