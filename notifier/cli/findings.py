"""What `notifier templates check` found, as people, GitHub and SARIF viewers read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from notifier.checks.findings import Code, Finding, Severity
from notifier.cli.printing import plain

#: SARIF 2.1.0 §3.27.10.
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.HINT: "note"}
#: Workflow commands of GitHub Actions, "Setting an error message".
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.HINT: "notice"}
#: Characters shown of a line.
EXCERPT = 110
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_text(findings: Iterable[Finding], root: Path) -> Iterator[str]:
    """Each with the line it is about, and a caret below what is wrong."""
    for one in findings:
        yield f"{place(one, root)}: {one.severity}: {plain(one.what)} [{one.code}]"
        if (line := _line(one, root)) is not None:
            shown, caret = _excerpt(line, one.column)
            margin = f"{one.line:>6} | "
            yield margin + shown
            if one.column:
                yield " " * (len(margin) - 2) + "| " + " " * caret + "^"
        if one.fix:
            yield f"         {plain(one.fix)}"
        yield ""


def as_github(findings: Iterable[Finding], root: Path) -> Iterator[str]:
    """Workflow commands: GitHub shows each beside its line in a pull request."""
    for one in findings:
        column = f",col={one.column}" if one.column else ""
        said = _escaped(f"{one.what}\n{one.fix}" if one.fix else one.what)
        yield f"::{_COMMANDS[one.severity]} file={root / one.file},line={one.line}{column},title={one.code}::{said}"


def as_sarif(findings: Sequence[Finding], root: Path) -> dict[str, Any]:
    """Static Analysis Results Interchange Format 2.1.0 (OASIS)."""
    rules = [{"id": code.value} for code in Code]
    driver = {"name": "notifier", "version": version("notifier-events"), "rules": rules}
    results = [_result(one, root) for one in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def as_dict(one: Finding, root: Path) -> dict[str, object]:
    """For ``--json``."""
    return {
        "where": f"{root / one.file}:{one.line}",
        "column": one.column,
        "what": one.what,
        "fix": one.fix,
        "code": one.code.value,
        "severity": one.severity.value,
    }


def place(one: Finding, root: Path) -> str:
    """``templates/order.placed/email.text.j2:11:26``, which editors and terminals open."""
    return f"{root / one.file}:{one.line}" + (f":{one.column}" if one.column else "")


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """The part of a line around a column, and where the column is in it."""
    text = plain(line)
    start = max(0, column - EXCERPT // 2) if len(text) > EXCERPT else 0
    shown = text[start : start + EXCERPT]
    before, after = "…" if start else "", "…" if start + EXCERPT < len(text) else ""
    return f"{before}{shown}{after}", max(0, column - 1 - start) + len(before)


def _line(one: Finding, root: Path) -> str | None:
    try:
        lines = (root / one.file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return lines[one.line - 1] if 0 < one.line <= len(lines) else None


def _result(one: Finding, root: Path) -> dict[str, Any]:
    region = {"startLine": one.line} | ({"startColumn": one.column} if one.column else {})
    location = {"physicalLocation": {"artifactLocation": {"uri": (root / one.file).as_posix()}, "region": region}}
    text = f"{one.what}. {one.fix}" if one.fix else one.what
    return {
        "ruleId": one.code.value,
        "level": _LEVELS[one.severity],
        "message": {"text": text},
        "locations": [location],
    }


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
