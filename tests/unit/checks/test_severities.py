"""A project says in one file how serious it takes each kind of finding."""

from pathlib import Path

from notifier.checks.findings import Code, Finding, Severity
from notifier.checks.severities import FILE, by_severity, read_severities

FOUND = [Finding("a", 1, 0, Code.UNUSED, "what"), Finding("b", 1, 0, Code.NO_DATE, "what")]


def test_without_a_file_all_is_as_serious_as_it_is(tmp_path: Path) -> None:
    assert read_severities(tmp_path) == ({}, [])
    assert by_severity(FOUND, {}) == FOUND


def test_kinds_are_raised_lowered_and_left_out(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("unused: off\nno-date: hint\n")
    severities, problems = read_severities(tmp_path)

    assert problems == []
    assert [(one.code, one.severity) for one in by_severity(FOUND, severities)] == [(Code.NO_DATE, Severity.HINT)]


def test_all_mistakes_of_the_file_are_told_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("unusd: off\nno-date: harmless\n")
    _, problems = read_severities(tmp_path)

    assert [(one.where.rpartition(":")[2], one.what, one.fix) for one in problems] == [
        ("1", "the file has an unknown key 'unusd'", "did you mean unused?"),
        ("2", "no-date is 'harmless'", "one of error, warning, hint, off"),
    ]


def test_a_file_that_is_no_yaml_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("a: [\n")

    assert len(read_severities(tmp_path)[1]) == 1
