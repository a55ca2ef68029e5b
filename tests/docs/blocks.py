"""The fenced blocks of all documents."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "notifier/client/README.md"])

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One block and where it stands."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str = "") -> list[Block]:
    """All, or those of one language, page by page and in order."""
    found = [block for document in DOCUMENTS for block in _of(document)]
    return [block for block in found if language in ("", block.language)]


def block(page: str, words: str) -> Block:
    """The one block of a page that holds these words."""
    (found,) = (one for one in blocks() if one.page == page and words in one.text)
    return found


def _of(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    page = str(document.relative_to(ROOT))
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match["language"], match["text"])
        for match in _FENCE.finditer(text)
    ]
