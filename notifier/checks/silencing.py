"""Findings that somebody has looked at: a comment beside the line, with a reason, takes them out.

``{# ignore may-be-absent: the shop always sends it #}`` in a template, ``# ignore no-key: …`` in a rules file: on the
line itself, or alone on the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from notifier.checks.findings import Code, Finding, Severity
from notifier.rendering.absent import nearest

_COMMENT = re.compile(
    r"(?:\{#-?|#)\s*ignore\s+(?P<codes>[a-z][a-z, -]*?)\s*(?::\s*(?P<why>[^#}]*\S[^#}]*))?\s*(?:-?#\}|$)"
)


@dataclass(slots=True)
class _Comment:
    file: str
    line: int
    codes: tuple[str, ...]
    has_reason: bool
    lines: tuple[int, ...]
    """Those it speaks of."""
    used: set[str] = field(default_factory=set)


def silenced(findings: Iterable[Finding], texts: Mapping[str, Sequence[str]]) -> list[Finding]:
    """What is left, with what is wrong with the comments themselves. ``texts``: the lines of each file."""
    comments = [one for file, lines in texts.items() for one in _comments(file, lines)]
    places = {(one.file, line, code): one for one in comments for line in one.lines for code in one.codes}
    left = []
    for finding in findings:
        comment = places.get((finding.file, finding.line, finding.code.value))
        if comment is None or not comment.has_reason:
            left.append(finding)
        if comment is not None:
            comment.used.add(finding.code.value)
    return sorted([*left, *(told for one in comments for told in _mistakes(one))])


def _comments(file: str, lines: Sequence[str]) -> Iterator[_Comment]:
    for number, line in enumerate(lines, start=1):
        if "ignore" in line and (found := _COMMENT.search(line)) is not None:
            codes = tuple(code.strip() for code in found["codes"].split(","))
            is_alone = not (line[: found.start()] + line[found.end() :]).strip()
            yield _Comment(file, number, codes, found["why"] is not None, (number + 1,) if is_alone else (number,))


def _mistakes(comment: _Comment) -> Iterator[Finding]:
    def told(what: str, fix: str, severity: Severity) -> Finding:
        return Finding(comment.file, comment.line, 0, Code.IGNORED, what, fix, severity)

    known = [code.value for code in Code]
    for code in comment.codes:
        if code not in known:
            yield told(f"there is no finding {code!r}{nearest(code, known)}", "write its name", Severity.ERROR)
        elif not comment.has_reason:
            yield told(f"ignores {code} without a reason", f"`ignore {code}: why it is right`", Severity.ERROR)
        elif code not in comment.used:
            yield told(f"ignores {code}, which is not found here", "take the comment out", Severity.HINT)
