"""A comment with a reason takes a finding out; a comment without one, or for nothing, is told."""

import pytest

from notifier.checks.findings import Code, Finding, Severity
from notifier.checks.silencing import silenced


def left(line: str, *, before: str = "", code: Code = Code.MAY_BE_ABSENT) -> list[tuple[str, int, str]]:
    found = Finding("a.text.j2", 2, 3, code, "data.note may be absent")
    kept = silenced([found], {"a.text.j2": [before, line]})
    return [(one.code.value, one.line, one.severity.value) for one in kept]


FOUND = [("may-be-absent", 2, "error")]


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("", "{{ data.note }} {# ignore may-be-absent: the shop always sends it #}"),
        ("{# ignore may-be-absent: the shop always sends it #}", "{{ data.note }}"),
        ("{#- ignore may-be-absent, may-be-null: the shop always sends it -#}", "{{ data.note }}"),
        ("", "to: data.note  # ignore may-be-absent: the shop always sends it"),
    ],
)
def test_a_reason_takes_it_out(before: str, line: str) -> None:
    assert [one for one in left(line, before=before) if one[2] != "hint"] == []


def test_a_comment_at_another_line_takes_nothing_out_and_is_told() -> None:
    told = left("{{ data.note }}", before="x {# ignore may-be-absent: why #}")

    assert told == [("ignored", 1, "hint"), *FOUND]


def test_a_comment_without_a_reason_takes_nothing_out() -> None:
    assert left("{{ data.note }} {# ignore may-be-absent #}") == [("ignored", 2, "error"), *FOUND]


def test_a_misspelt_comment_names_the_nearest() -> None:
    found = silenced([], {"a": ["{# ignore may-be-absnt: why #}"]})

    assert [(one.what, one.severity) for one in found] == [
        ("there is no finding 'may-be-absnt'; nearest: 'may-be-absent'", Severity.ERROR)
    ]


def test_text_that_only_speaks_of_ignoring_is_no_comment() -> None:
    assert left("Please ignore this mail: it is a test") == FOUND
