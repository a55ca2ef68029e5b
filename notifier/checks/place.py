"""`Place`: the file that is looked at, and how what is wrong in it is told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from notifier.checks.findings import Code, Finding, Findings, Severity


@dataclass(frozen=True, slots=True)
class Place:
    """A template, or one expression of a rules file."""

    findings: Findings
    file: str
    lines: Sequence[str]
    """Of the file, for columns."""
    first: int = 1
    """The line in the file where the source begins."""
    judges_guards: bool = True
    """Whether a guard that is not needed is told: what others use too, or what only samples describe, may need it."""
    why: str = ""
    """Who uses it, for what is only wrong there."""

    def tell(
        self, code: Code, line: int, what: str, fix: str = "", *, word: str = "", severity: Severity = Severity.ERROR
    ) -> None:
        """Something is wrong; ``word`` is what is written there."""
        at = self.first + line - 1
        self.tell_at(code, at, self._column(at, word), what, fix, severity=severity)

    def tell_at(
        self, code: Code, line: int, column: int, what: str, fix: str, *, severity: Severity = Severity.ERROR
    ) -> None:
        """The same at a line and column of the file."""
        said = f"{what} ({self.why})" if self.why else what
        self.findings.add(Finding(self.file, line, column, code, said, fix, severity))

    def shared(self, why: str) -> Place:
        """The same for one of its users."""
        return replace(self, judges_guards=False, why=why)

    def _column(self, line: int, word: str) -> int:
        if not word or not 0 < line <= len(self.lines):
            return 0
        found = re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", self.lines[line - 1]) or re.search(
            rf"(?<!\w){re.escape(word.rpartition('.')[2])}(?!\w)", self.lines[line - 1]
        )
        return found.start() + 1 if found else 0
