"""`Section`: one mapping of a rules file, read key by key; every mistake is noted with its line and reading goes on.

A reader gets a usable value even for a wrong one (the default), because the whole file is refused at the end anyway and
people want to hear of all their mistakes at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from notifier.errors import Problem
from notifier.rules.documents import Located
from notifier.rules.durations import seconds

E = TypeVar("E", bound=StrEnum)

#: Expressions and names are short; a longer one is data in the wrong place.
MAX_TEXT = 2000


@dataclass(slots=True)
class Report:
    """The mistakes of one file."""

    file: str
    """As people know it: ``templates/order.shipped/rules.yaml``."""
    problems: list[tuple[int, Problem]] = field(default_factory=list)
    """Line and mistake, so that they can be told from top to bottom."""

    def add(self, line: int, what: str, fix: str = "") -> None:
        """Note a mistake."""
        self.problems.append((line, Problem(f"{self.file}:{line}", what, fix)))

    def sorted(self) -> list[Problem]:
        """Every mistake of the file from top to bottom."""
        return [problem for _, problem in sorted(self.problems, key=lambda entry: entry[0])]


class Section:
    """A mapping and what may be asked of it."""

    def __init__(self, report: Report, node: Located, name: str, known: Collection[str]) -> None:
        """``name`` is how errors call it: "the file", "rule 'x'", "window"."""
        self.report = report
        self.line = node.line
        self.name = name
        self._entries: dict[str, Located] = node.value if isinstance(node.value, dict) else {}
        if not isinstance(node.value, dict):
            report.add(node.line, f"{name} is {node.kind}, expected keys and values")
        for key, entry in self._entries.items():
            if key not in known:
                report.add(entry.line, f"{name} has an unknown key {shown(key)}", suggestion(key, known))

    def has(self, key: str) -> bool:
        """Whether the key is written with a value; empty text is none."""
        entry = self._entries.get(key)
        return entry is not None and entry.value is not None and entry.value != ""

    def line_of(self, key: str) -> int:
        """The line of a key; of the section when it is not written."""
        return self._entries[key].line if key in self._entries else self.line

    def begins(self, key: str) -> int:
        """The line in which a key's text begins, which may be the one below; the section's when it is not written."""
        return self._entries[key].begins if key in self._entries else self.line

    def get(self, key: str) -> Located | None:
        """A value of any type; None when it is missing, nothing or empty text."""
        return self._entries[key] if self.has(key) else None

    def wrong(self, key: str, what: str, fix: str = "") -> None:
        """Note a mistake at a key."""
        self.report.add(self.line_of(key), what, fix)

    def refuse(self, key: str, why: str, fix: str = "") -> None:
        """Note a mistake when the key is there at all."""
        if key in self._entries:
            self.wrong(key, f"{self.name}: {key} {why}", fix)

    def is_list(self, key: str) -> bool:
        """Whether a list is written there, be it empty."""
        return key in self._entries and isinstance(self._entries[key].value, list)

    def text(self, key: str, *, required: str = "") -> str:
        """A word or a sentence; ``required`` says what to write when it is missing."""
        entry = self.get(key)
        if entry is None:
            if required:
                self.wrong(key, f"{self.name} has no {key}", required)
            return ""
        if isinstance(entry.value, list | dict):
            self.wrong(key, f"{self.name}: {key} is {entry.kind}, expected text")
            return ""
        if len(entry.text) > MAX_TEXT:
            self.wrong(key, f"{self.name}: {key} has {len(entry.text)} characters, at most {MAX_TEXT} are read")
            return ""
        return entry.text.strip()

    def flag(self, key: str) -> bool | None:
        """True, false, or None when nothing is said."""
        entry = self.get(key)
        if entry is None or isinstance(entry.value, bool):
            return None if entry is None else bool(entry.value)
        self.wrong(key, f"{self.name}: {key} is {shown(entry.text) if entry.text else entry.kind}", "true or false")
        return None

    def number(self, key: str, least: int, most: int, unit: str) -> int | None:
        """A whole number of ``unit`` within bounds; None when it is missing or wrong."""
        entry = self.get(key)
        if entry is None:
            return None
        value = entry.value
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.wrong(key, f"{key} is {shown(entry.text) if entry.text else entry.kind}", f"{least} to {most} {unit}")
        return None

    def choice(self, key: str, options: Iterable[E], default: E, *, required: bool = False) -> E:
        """One of a few words."""
        words = [option.value for option in options]
        text = self.text(key, required="one of " + ", ".join(words) if required else "")
        if text in words:
            return next(option for option in options if option.value == text)
        if text:
            near = suggestion(text, words, among="one of")
            self.wrong(key, f"{self.name}: {key} is {shown(text)}", near)
        return default

    def duration(self, key: str) -> float | None:
        """Seconds, from ``6h``, ``15m``, ``90s``, ``2d`` or a number."""
        entry = self.get(key)
        return None if entry is None else self.duration_of(entry, key)

    def duration_of(self, entry: Located, key: str) -> float | None:
        """The same for an entry of a list."""
        value = seconds(entry.text)
        if value is None:
            what = shown(entry.text) if entry.text else entry.kind
            fix = "a number and s, m, h or d, such as 90s, 15m, 6h or 2d; at least 1s, at most 366d"
            self.report.add(entry.line, f"{self.name}: {key} is {what}, not a duration", fix)
        return value

    def entries(self, key: str) -> list[Located]:
        """The entries of a list; empty when it is missing or not a list."""
        entry = self.get(key)
        if entry is None:
            return []
        if not isinstance(entry.value, list):
            self.wrong(key, f"{self.name}: {key} is {entry.kind}, expected a list", "start each entry with a dash")
            return []
        return entry.value


def suggestion(word: str, known: Iterable[str], among: str = "known:") -> str:
    """The known word somebody probably meant, else all of them."""
    words = list(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"{among} {', '.join(words)}"


def shown(text: str) -> str:
    """What somebody wrote, as an error may repeat it."""
    return repr(text if len(text) <= 60 else text[:59] + "…")
