"""The rows of ``smtp_replies.tsv``; README.md beside it says what the columns mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from notifier.engine.replies import ReplyClass
from notifier.engine.transaction import Phase, Rejected

PATH = Path(__file__).with_name("smtp_replies.tsv")
COLUMNS = ("phase", "code", "enhanced", "text", "class", "server", "source", "date")


@dataclass(frozen=True, slots=True)
class Row:
    """One refusal that a real server gave, and what it means for the sender."""

    phase: str
    code: int
    enhanced: str
    text: str
    classes: frozenset[str]
    """One as a rule; two where both can be defended."""
    server: str
    source: str
    date: str

    def rejected(self) -> Rejected:
        """The refusal as the engine sees it."""
        return Rejected("relay.example:25", Phase(self.phase), self.code, self.text)

    def is_right(self, given: ReplyClass) -> bool:
        """Whether a class is the one, or one of the two, that the row allows."""
        return given.value in self.classes

    def __str__(self) -> str:
        """For the names of parametrised tests and for messages."""
        return f"{self.phase} {self.code} {self.text} [{self.server}]"


def read(path: Path = PATH) -> list[Row]:
    """Every row, in the order of the file."""
    header, *lines = path.read_text("utf-8").splitlines()
    if tuple(header.split("\t")) != COLUMNS:
        raise ValueError(f"{path.name}: the header is {header!r}, not the columns {COLUMNS}")
    return [_row(line) for line in lines]


def _row(line: str) -> Row:
    phase, code, enhanced, text, classes, server, source, date = line.split("\t")
    return Row(
        phase, int(code), enhanced, text.replace("\\n", "\n"), frozenset(classes.split("|")), server, source, date
    )
