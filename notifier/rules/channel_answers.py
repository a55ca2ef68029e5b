"""``answers:`` of a channel file → `AnswerRow` values, in the order in which they are asked."""

from __future__ import annotations

import re

from notifier.domain.provider import AnswerRow, BodyTest, Meaning, Path, parse_path
from notifier.rules.documents import Located
from notifier.rules.sections import Report, Section, shown

ROW_KEYS = ("status", "body", "contains", "means", "suppress", "retry_after")
#: Rows of one file, and places of one row: all may be looked at for each answer.
MAX_ROWS, MAX_TESTS = 50, 20

_CLASS = re.compile(r"([2-5])xx", re.IGNORECASE)
_RANGE = re.compile(r"([0-9]{3})\s*-\s*([0-9]{3})")
_STATUS_FIX = "a status such as 429, 4xx or 400-404, or a list of them"


def read_answers(file: Section, report: Report) -> tuple[AnswerRow, ...]:
    """Every row; those with mistakes are noted and left out."""
    nodes = file.entries("answers")
    if len(nodes) > MAX_ROWS:
        file.wrong("answers", f"{len(nodes)} answers", f"at most {MAX_ROWS}")
    rows = [_row(node, report, number) for number, node in enumerate(nodes[:MAX_ROWS], start=1)]
    return tuple(row for row in rows if row is not None)


def read_path(section: Section, key: str) -> Path:
    """A path into JSON; empty when there is none."""
    text = section.text(key)
    if not text:
        return ()
    try:
        return parse_path(text)
    except ValueError as error:
        section.wrong(key, f"{section.name}: {key}: {error}")
        return ()


def _row(node: Located, report: Report, number: int) -> AnswerRow | None:
    section = Section(report, node, f"answer {number}", ROW_KEYS)
    if not isinstance(node.value, dict):
        return None
    meaning = section.choice("means", Meaning, Meaning.REFUSED, required=True)
    row = AnswerRow(
        meaning,
        statuses=_statuses(section),
        tests=_tests(section, report),
        contains=section.text("contains"),
        suppress=section.flag("suppress") is True,
        retry_after=read_path(section, "retry_after"),
    )
    if not any(section.has(key) for key in ("status", "body", "contains")):
        fix = "one of status, body and contains, such as `status: 429`"
        report.add(section.line, f"{section.name} says of no answer that it is meant", fix)
    # Of a word that is none nobody knows what goes with it.
    if (means := section.get("means")) is not None and means.text in set(Meaning):
        if row.suppress and meaning is not Meaning.BAD_RECIPIENT:
            section.refuse("suppress", "goes with `means: bad_recipient` only", "remove suppress")
        if row.retry_after and meaning not in (Meaning.DEFERRED, Meaning.RATE_LIMITED, Meaning.OUR_FAULT):
            section.refuse("retry_after", f"has no meaning for {meaning}: nothing follows", "remove retry_after")
    return row


def _statuses(section: Section) -> tuple[tuple[int, int], ...]:
    entry = section.get("status")
    if entry is None:
        return ()
    nodes = entry.value if isinstance(entry.value, list) else [entry]
    found = [_status(node.text) for node in nodes]
    for node, status in zip(nodes, found, strict=True):
        if status is None:
            what = shown(node.text) if node.text else node.kind
            section.report.add(node.line, f"{section.name}: status is {what}", _STATUS_FIX)
    return tuple(status for status in found if status is not None)


def _status(text: str) -> tuple[int, int] | None:
    if match := _CLASS.fullmatch(text):
        return int(match[1]) * 100, int(match[1]) * 100 + 99
    first, last = (match[1], match[2]) if (match := _RANGE.fullmatch(text)) else (text, text)
    if not (first.isascii() and first.isdigit() and len(first) == 3):
        return None
    return (int(first), int(last)) if 200 <= int(first) <= int(last) <= 599 else None


def _tests(section: Section, report: Report) -> tuple[BodyTest, ...]:
    entry = section.get("body")
    if entry is None:
        return ()
    if not isinstance(entry.value, dict):
        fix = "places in the JSON and what stands there, such as `body: {data.status: error}`"
        section.wrong("body", f"{section.name}: body is {entry.kind}", fix)
        return ()
    if len(entry.value) > MAX_TESTS:
        section.wrong("body", f"{section.name}: body has {len(entry.value)} places", f"at most {MAX_TESTS}")
    tests = [_test(section, report, path, node) for path, node in list(entry.value.items())[:MAX_TESTS]]
    return tuple(test for test in tests if test is not None)


def _test(section: Section, report: Report, path: str, node: Located) -> BodyTest | None:
    nodes = node.value if isinstance(node.value, list) else [node]
    wrong = [one for one in nodes if isinstance(one.value, list | dict) or (one.value is None and not one.text)]
    for one in wrong or ([] if nodes else [node]):
        report.add(one.line, f"{section.name}: {shown(path)} is {one.kind}", "a value, or a list of values")
    try:
        return BodyTest(parse_path(path), frozenset(one.text for one in nodes))
    except ValueError as error:
        report.add(node.line, f"{section.name}: body: {error}")
        return None
