"""``_checks.yaml`` in the templates folder: how serious a project takes each kind of finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from notifier.checks.findings import Code, Finding, Severity
from notifier.errors import Problem
from notifier.rules.documents import YamlMistake, read_yaml
from notifier.rules.files import read_text
from notifier.rules.sections import Report, Section, suggestion

FILE = "_checks.yaml"
OFF = "off"
#: Bytes of the file; one line for each kind of finding is a hundredth.
_MAX_BYTES = 64 * 1024
_WORDS = (*(one.value for one in Severity), OFF)


def read_severities(root: Path) -> tuple[Mapping[str, str], list[Problem]]:
    """Code → ``error``, ``warning``, ``hint`` or ``off``; and what is wrong with the file."""
    path = root / FILE
    if not path.exists():
        return {}, []
    report = Report(f"{root.resolve().name}/{FILE}")
    found: dict[str, str] = {}
    try:
        node = read_yaml(read_text(path, _MAX_BYTES))
    except YamlMistake as error:
        report.add(error.line, str(error), error.fix)
    except ValueError as error:
        report.add(1, f"the file {error}")
    else:
        section = Section(report, node, "the file", [code.value for code in Code])
        for code in Code:
            if (word := section.text(code.value)) in _WORDS:
                found[code.value] = word
            elif word:
                section.wrong(code.value, f"{code} is {word!r}", suggestion(word, _WORDS, among="one of"))
    return found, report.sorted()


def by_severity(findings: Iterable[Finding], severities: Mapping[str, str]) -> list[Finding]:
    """With the project's severities, without what it does not want to hear of."""
    return [
        replace(one, severity=Severity(severities[one.code])) if one.code in severities else one
        for one in findings
        if severities.get(one.code) != OFF
    ]
