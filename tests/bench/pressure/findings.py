"""What a scenario found, as a Markdown table and as JSON; something lost is a failure whatever the figures say."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.report import markdown


@dataclass(frozen=True)
class Row:
    """One thing measured; ``met`` is None where nothing was promised."""

    what: str
    measured: str
    bar: str = ""
    met: bool | None = None

    @property
    def word(self) -> str:
        """met, not met, or nothing."""
        return "" if self.met is None else "met" if self.met else "not met"


@dataclass
class Finding:
    """One scenario, run once."""

    scenario: str
    what: str
    """One sentence: who was put under which pressure."""
    rows: list[Row] = field(default_factory=list)
    lost: int = 0

    def add(self, what: str, measured: str, bar: str = "", met: bool | None = None) -> None:
        """One more row."""
        self.rows.append(Row(what, measured, bar, met))

    def add_lost(self, expected: int, lost: int, doubled: int) -> None:
        """The row every scenario ends with."""
        self.lost = lost
        self.add("lost", f"{lost:,} of {expected:,}", "0", lost == 0)
        self.add("arrived more than once", f"{doubled:,}")


def table(finding: Finding) -> str:
    """Markdown."""
    rows = [(row.what, row.measured, row.bar, row.word) for row in finding.rows]
    return f"**{finding.scenario}**: {finding.what}\n\n" + markdown(("what", "measured", "bar", "bar is"), rows)


def document(findings: Sequence[Finding], about: dict[str, Any]) -> str:
    """JSON."""
    entries = [
        {
            "scenario": f.scenario,
            "what": f.what,
            "lost": f.lost,
            "rows": [{"what": r.what, "measured": r.measured, "bar": r.bar, "met": r.met} for r in f.rows],
        }
        for f in findings
    ]
    return json.dumps({"machine": about, "findings": entries}, indent=2)
