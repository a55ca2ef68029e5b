"""`Provider`: what a file ``templates/_channels/<name>.yaml`` says of an HTTP API, as values: above all its answers.

Pure: `notifier.rules` reads the file, `notifier.channels.http_api` asks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from notifier.domain.limit import Rate
from notifier.domain.retry import RetrySchedule

#: How a file is named, and a rule's `channel` with it. No hyphens: the names of its settings are made of it.
NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
#: How the settings begin that a file may name.
SETTING_PREFIX = "NOTIFIER_CHANNEL_"
SETTING = re.compile(SETTING_PREFIX + r"[A-Z][A-Z0-9_]{0,63}")

_STEP = re.compile(r"\.?([A-Za-z_$@][\w$@-]{0,63}|[0-9]{1,6})|\[([0-9]{1,6}|\*)\]")
#: Steps of one path, and values that one path with ``[*]`` looks at in an answer of 16 kB.
MAX_STEPS, MAX_FOUND = 16, 1000


class Meaning(StrEnum):
    """What an answer means."""

    SENT = "sent"
    DEFERRED = "deferred"
    """Not now; the schedule decides."""
    RATE_LIMITED = "rate_limited"
    """Too fast: the provider is left alone for as long as it says, or a moment."""
    REFUSED = "refused"
    """This message never; parked."""
    BAD_RECIPIENT = "bad_recipient"
    """This recipient never; parked."""
    OUR_FAULT = "our_fault"
    """Our login, account or settings: the provider is paused, operators are told, nobody is refused for it."""


Path = tuple[str | int | None, ...]
"""Steps into JSON: a member's name, a place, or None for every element of a list."""


def parse_path(text: str) -> Path:
    """``data[0].details.error``, ``errors[*].code``. Raises `ValueError` saying how to write it."""
    steps: list[str | int | None] = []
    at = 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None or (at == 0 and text.startswith(".")) or (at and text[at] not in ".["):
            raise ValueError(
                f"{text[:60]!r} is no path into JSON; write it like data[0].details.error or errors[*].code"
            )
        name, place = step.groups()
        steps.append(None if place == "*" else int(place) if place else int(name) if name.isdigit() else name)
        at = step.end()
    if not 1 <= len(steps) <= MAX_STEPS:
        raise ValueError(f"a path has 1 to {MAX_STEPS} steps, such as data.status")
    return tuple(steps)


def found_at(path: Path, value: Any) -> list[Any]:
    """Everything a path leads to; nothing when the answer has another shape."""
    values = [value]
    for step in path:
        values = [following for one in values for following in _follow(step, one)][:MAX_FOUND]
    return values


def _follow(step: str | int | None, value: Any) -> Sequence[Any]:
    if step is None:
        return value if isinstance(value, list) else ()
    if isinstance(value, list):
        return (value[step],) if isinstance(step, int) and step < len(value) else ()
    if isinstance(value, dict):
        key = str(step)
        return (value[key],) if key in value else ()
    return ()


def as_word(value: Any) -> str | None:
    """A JSON value as a file writes it: providers write one code as a number here and as text there."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


@dataclass(frozen=True, slots=True)
class BodyTest:
    """What must stand at one place of an answer's JSON."""

    path: Path
    words: frozenset[str]
    """One of these, as `as_word` writes them."""

    def matches(self, body: Any) -> bool:
        """Whether one of the values there is one of the words."""
        return any(as_word(value) in self.words for value in found_at(self.path, body))


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One row of ``answers``: when all it says of an answer is so, that is what it means."""

    meaning: Meaning
    statuses: tuple[tuple[int, int], ...] = ()
    """Ranges, both ends included; empty for any."""
    tests: tuple[BodyTest, ...] = ()
    contains: str = ""
    suppress: bool = False
    """With `Meaning.BAD_RECIPIENT`: nothing is sent to this address again."""
    retry_after: Path = ()
    """Where the body says how many seconds to wait."""

    def matches(self, status: int, text: str, body: Any) -> bool:
        """``body`` is the answer's JSON, or None when it is none."""
        if self.statuses and not any(first <= status <= last for first, last in self.statuses):
            return False
        if self.contains and self.contains not in text:
            return False
        return all(test.matches(body) for test in self.tests)


@dataclass(frozen=True, slots=True)
class Provider:
    """One file, without what has to be rendered."""

    name: str
    source: str
    """``file:line`` for errors."""
    kind: str = ""
    """Which of a recipient's addresses it wants: ``phone``, or a name of its own; empty when it is one place."""
    rows: tuple[AnswerRow, ...] = ()
    hosts: tuple[str, ...] = ()
    """Hosts that addresses may have, where the address is the URL."""
    message_id: Path = ()
    """Where an answer names the message."""
    limit: Rate | None = None
    retry: RetrySchedule | None = None

    @property
    def says_sent(self) -> bool:
        """Whether the file says itself which answers mean sent; then no other does."""
        return any(row.meaning is Meaning.SENT for row in self.rows)


def matching(rows: Sequence[AnswerRow], status: int, text: str, body: Any) -> AnswerRow | None:
    """The first row that fits."""
    return next((row for row in rows if row.matches(status, text, body)), None)
