"""What may be limited, how fast, and how people write it: ``relay=100/s, domain:gmail.com=20/s burst 40``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

#: A default burst is this much of a second, so that "100/s" never sends more than 110 within one.
BURST_S = 0.1
#: Slower than one a day is a pause, faster than this is no limit any more.
SLOWEST, FASTEST = 1 / 86400, 100_000.0
MAX_BURST = 1_000_000

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(
    r"(?P<count>[0-9]{1,9}(?:\.[0-9]{1,3})?)\s*/\s*(?P<units>[0-9]{1,4})?\s*(?P<unit>[smhd])"
    r"(?:\s+burst\s+(?P<burst>[0-9]{1,9}))?"
)
#: How a rate is written, for descriptions; `parse_rate` bounds it, too.
RATE_PATTERN = re.sub(r"\?P<\w+>", "?:", _RATE.pattern)
_EXAMPLE = "write it like 100/s, 5/10s, 600/m or 20/s burst 40, with s, m, h or d"
UNLIMITED = "unlimited"


class ScopeKind(StrEnum):
    """What a limit is shared by. The first letter of each is its mark on deliveries that waited for it."""

    RELAY = "relay"
    DOMAIN = "domain"
    ENDPOINT = "endpoint"
    TENANT = "tenant"
    RECIPIENT = "recipient"
    RULE = "rule"
    PROVIDER = "channel"
    """Of a channel file."""

    @property
    def mark(self) -> str:
        """One letter in a task message: ``l`` for rule and ``p`` for recipient, whose first is taken."""
        return {"recipient": "p", "rule": "l"}.get(self.value, self.value[0])


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second, and how many may come at once after a rest."""

    per_second: float
    burst: int
    written: str = field(compare=False)
    """As somebody wrote it, for people."""

    @property
    def interval(self) -> float:
        """Microseconds from one to the next."""
        return 1_000_000 / self.per_second

    def __str__(self) -> str:
        return self.written


def parse_rate(text: str) -> Rate:
    """``100/s``, ``5/10s``, ``600/m burst 20``. Raises `ValueError` saying what is wrong and how to write it."""
    shown = text.strip()[:60]
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{shown!r} is not a rate; {_EXAMPLE}")
    period = int(match["units"] or 1) * _UNITS[match["unit"]]
    per_second = float(match["count"]) / period if period else 0.0
    if not SLOWEST <= per_second <= FASTEST:
        raise ValueError(f"{shown!r} is {per_second:g} a second; a rate is between 1/d and {FASTEST:.0f}/s")
    burst = default_burst(per_second) if match["burst"] is None else int(match["burst"])
    if not 1 <= burst <= MAX_BURST:
        raise ValueError(f"{shown!r}: a burst is between 1 and {MAX_BURST}")
    return Rate(per_second, burst, " ".join(shown.split()))


def default_burst(per_second: float) -> int:
    """What may come at once where nobody says: a tenth of a second's worth, and at least one."""
    return max(1, round(per_second * BURST_S))


def rate_of(per_second: float) -> Rate:
    """A rate that was found rather than written."""
    return Rate(per_second, default_burst(per_second), f"{per_second:.3g}/s")


@dataclass(frozen=True, slots=True)
class Scope:
    """What one limit is about: a kind, and one of that kind; an empty name is a limit for each of them."""

    kind: ScopeKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind.value

    @classmethod
    def parse(cls, text: str) -> Scope:
        """``relay``, ``domain:gmail.com``. Raises `ValueError`."""
        word, separator, name = text.strip().partition(":")
        if word not in set(ScopeKind):
            raise ValueError(f"{word[:60]!r} is nothing that can be limited; one of: {', '.join(ScopeKind)}")
        name = name.strip()
        if separator and not name:
            raise ValueError(f"{text.strip()!r} names no {word}; leave the colon out for a limit of each {word}")
        if len(name) > MAX_NAME or any(character.isspace() or not character.isprintable() for character in name):
            raise ValueError(f"the name of a {word} has no spaces and at most {MAX_NAME} characters")
        if word == ScopeKind.RECIPIENT and "@" in name:
            raise ValueError("a recipient is named by its rcp_ key (`notifier suppressions show ADDRESS`), not address")
        return cls(ScopeKind(word), name.lower() if word == ScopeKind.DOMAIN else name)


#: Characters of a scope's name; the longest are rule ids, a folder and an id.
MAX_NAME = 400

Rates = Mapping[Scope, Rate | None]
"""Scope → its rate; None lifts a limit that would count otherwise."""


def parse_limit(text: str) -> Rate | None:
    """A rate, or None for ``unlimited``. Raises `ValueError`."""
    return None if text.strip() == UNLIMITED else parse_rate(text)


def parse_limits(text: str) -> tuple[dict[Scope, Rate | None], list[str]]:
    """The limits of ``NOTIFIER_LIMITS`` and every mistake in it; entries are separated by commas or lines."""
    limits: dict[Scope, Rate | None] = {}
    mistakes = []
    for entry in re.split(r"[,;\n]", text):
        if not entry.strip():
            continue
        try:
            scope, rate = _parse_entry(entry)
        except ValueError as error:
            mistakes.append(str(error))
            continue
        if scope in limits:
            mistakes.append(f"{scope} is there twice")
        limits[scope] = rate
    return limits, mistakes


def _parse_entry(entry: str) -> tuple[Scope, Rate | None]:
    scope, separator, rate = entry.partition("=")
    if not separator:
        raise ValueError(f"{entry.strip()[:60]!r} has no =; write SCOPE=RATE, such as relay=100/s")
    return Scope.parse(scope), parse_limit(rate)
