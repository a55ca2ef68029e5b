"""`Finding`: one thing that is wrong in a template or rule, at the place where it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How sure it is that somebody gets hurt."""

    ERROR = "error"
    """Some event, valid by its schema, fails or is sent wrong."""
    WARNING = "warning"
    """Nothing fails; what is written does not do what it seems to."""
    HINT = "hint"
    """It could be said better."""


class Code(StrEnum):
    """What is wrong, in one word for settings and for comments that silence it."""

    UNKNOWN_NAME = "unknown-name"
    MAY_BE_ABSENT = "may-be-absent"
    MAY_BE_NULL = "may-be-null"
    NEEDLESS_GUARD = "needless-guard"
    NEVER_EQUAL = "never-equal"
    WRONG_TYPE = "wrong-type"
    NOT_A_LIST = "not-a-list"
    NO_DATE = "no-date"
    NO_CURRENCY = "no-currency"
    UNKNOWN_ARGUMENT = "unknown-argument"
    NO_RECIPIENT = "no-recipient"
    NO_TRUTH_VALUE = "no-truth-value"
    NO_KEY = "no-key"
    UNUSED = "unused"
    SCHEMA = "schema"
    NO_ALT = "no-alt"
    NO_SIZE = "no-size"
    NO_LANG = "no-lang"
    LINK = "link"
    NOT_IN_MAIL = "not-in-mail"
    IGNORED = "ignored"
    """A comment that takes findings out says no reason, or takes none out."""
    FAILS = "fails"
    """A sample fails, or a file cannot be read."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One of them; the same thing found twice is one."""

    file: str
    """Below the templates folder."""
    line: int
    column: int
    """The first is 1; 0 where only the line is known."""
    code: Code
    what: str
    fix: str = ""
    severity: Severity = Severity.ERROR


class Findings:
    """All of them, each once."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}

    def add(self, finding: Finding) -> None:
        """Tell it, unless it was told."""
        self._found.setdefault(finding)

    def __iter__(self) -> Iterator[Finding]:
        return iter(sorted(self._found))
