"""`notifier templates check`: where, what, why and what to do, of everything that is wrong at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.test_verbs import TEMPLATES, _run

RULES = """\
event: invoice.sent
category: invoices
rules:
  - id: mail
    channel: email
    to: data.to
    throttle: {at_most: 1, per: 1h, then: digest}
  - id: hook
    channel: webhook
"""
FILES = {
    "rules.yaml": RULES,
    "sample.json": json.dumps(
        {
            "specversion": "1.0",
            "id": "1",
            "source": "/s",
            "type": "invoice.sent",
            "data": {"to": "a@example.org", "n": 5},
        }
    ),
    "email.subject.j2": "Invoice {{ data.n }}",
    "email.text.j2": "{{ data.n | money('EUR') }}",
    "email.html.j2": "{{ data.n }}",
    "digest.subject.j2": "{{ digest.total }} invoices",
    "digest.text.j2": "{% for one in digest.items %}{{ one.data.n }}{% endfor %}",
    "de/email.subject.j2": "Rechnung {{ data.n }}",
    "de/email.text.j2": "{{ data.n }}",
    "webhook.json.j2": '{"n": {{ data.n }}}',
}


def checked(parent: Path, changed: dict[str, str | None]) -> dict[str, Any]:
    """The folder with some files changed, or left out."""
    root = parent / "templates"
    for name, text in {**FILES, **changed}.items():
        if text is not None:
            (file := root / "invoice.sent" / name).parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    done = _run("templates", "check", str(root), "--json")
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == (1 if answer["problems"] else 0)
    return answer


def test_a_good_folder_is_counted(tmp_path: Path) -> None:
    answer = checked(tmp_path, {})

    assert (answer["problems"], answer["warnings"]) == ([], [])
    assert answer["checked"] == {"event_types": 1, "samples": 1, "messages": 2}
    assert "no mistakes (event types: 1, samples: 1, " in _run("templates", "check", str(tmp_path / "templates")).stdout


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".j2")])
def test_a_wrong_name_is_found_in_whatever_template_it_stands_and_told_by_its_place(name: str, tmp_path: Path) -> None:
    answer = checked(tmp_path, {name: FILES[name] + "\n{{ data.nn }}"})

    (problem,) = answer["problems"]
    assert problem["where"] == f"{tmp_path}/templates/invoice.sent/{name}:2"
    assert problem["what"] == "data has no 'nn'; nearest: 'n'"
    assert problem["fix"]


def test_all_templates_of_all_samples_are_told_at_once(tmp_path: Path) -> None:
    names = [name for name in FILES if name.endswith(".j2")]
    answer = checked(tmp_path, {name: FILES[name] + "{{ data.nn }}" for name in names})
    assert len(answer["problems"]) == len(names)


def test_a_wrong_expression_is_told_at_its_own_line(tmp_path: Path) -> None:
    (problem,) = checked(tmp_path, {"rules.yaml": RULES.replace("data.to", "data.too")})["problems"]

    assert problem["where"] == f"{tmp_path}/templates/invoice.sent/rules.yaml:6"
    assert problem["what"] == "data has no 'too'; nearest: 'to'"
    assert problem["fix"]


SCHEMA = '{\n "properties": {\n  "n": {\n   "type": "string"\n  }\n }\n}'


@pytest.mark.parametrize(
    ("changed", "where", "what", "fix"),
    [
        ({"schema.json": SCHEMA}, "sample.json:1", "templates/invoice.sent/schema.json:4", "correct the sample or"),
        (
            {"schema.json": SCHEMA.replace("string", "sting")},
            "schema.json:4",
            "type is 'sting'",
            "did you mean string?",
        ),
        (
            {"schema.json": SCHEMA.replace("{\n   ", '{\n   "format": "emial",', 1)},
            "schema.json:4",
            "'emial'",
            "email?",
        ),
        (
            {"rules.yaml": RULES.replace("event: invoice.sent", "event: invoice.snt")},
            "sample.json:1",
            "rules.yaml:1",
            "both",
        ),
        (
            {"rules.yaml": RULES.replace("    channel: e", "   channel: e")},
            "rules.yaml:5",
            "begins in line 4",
            "indent",
        ),
        ({"rules.yaml": RULES.replace("category: i", "category: my i")}, "rules.yaml:2", "no category", "one word"),
        (
            {"sample.json": '{\n "a": 1\n\n "b": 2}'},
            "sample.json:2",
            "a comma or a closing bracket is missing",
            "line's end",
        ),
        ({"sample.json": '{\n "a": 1,\n}'}, "sample.json:", "not JSON", "comma"),
    ],
)
def test_each_mistake_says_where_why_and_what_to_do(
    changed: dict[str, str | None], where: str, what: str, fix: str, tmp_path: Path
) -> None:
    problem = checked(tmp_path, changed)["problems"][0]

    assert problem["where"].startswith(f"{tmp_path}/templates/invoice.sent/{where}")
    assert what in problem["what"]
    assert fix in problem["fix"]


@pytest.mark.parametrize(
    ("missing", "what"), [("sample.json", "there is no sample"), ("rules.yaml", "there are no rules for it")]
)
def test_a_folder_of_which_nothing_was_tried_is_warned_of(missing: str, what: str, tmp_path: Path) -> None:
    (warning,) = checked(tmp_path, {missing: None})["warnings"]

    assert (warning["where"], what in warning["what"]) == (f"{tmp_path}/templates/invoice.sent", True)


def test_the_text_and_the_html_of_a_mail_can_be_read_by_themselves() -> None:
    arguments = ("explain", str(TEMPLATES / "invoice.overdue" / "sample.json"), "--no-endpoints")
    text, html = (_run(*arguments, part, NOTIFIER_TEMPLATES=str(TEMPLATES)) for part in ("--text", "--html"))

    assert text.stdout.startswith("Hello Harbour Café Ltd,")
    assert html.stdout.lstrip().lower().startswith("<!doctype html")
    assert (text.exit_code, html.exit_code) == (0, 0)


def written(parent: Path, changed: dict[str, str | None]) -> Path:
    checked(parent, changed)
    return parent / "templates"


MISSPELT: dict[str, str | None] = {"email.text.j2": "Dear customer,\n{{ data.n }} of {{ data.nn }}"}


def test_people_see_the_line_and_a_caret_below_what_is_wrong(tmp_path: Path) -> None:
    root = written(tmp_path, MISSPELT)
    done = _run("templates", "check", str(root))

    assert done.exit_code == 1
    assert done.stdout.startswith(
        f"{root}/invoice.sent/email.text.j2:2:20: error: data has no 'nn'; nearest: 'n' [unknown-name]\n"
        "     2 | {{ data.n }} of {{ data.nn }}\n"
        "       |                    ^\n"
        "         write the name as the data has it, or describe it in the schema\n"
    )


def test_a_long_line_is_shown_around_what_is_wrong(tmp_path: Path) -> None:
    root = written(tmp_path, {"email.text.j2": "x" * 500 + "{{ data.nn }}" + "y" * 500})
    line, caret = _run("templates", "check", str(root)).stdout.split("\n")[1:3]

    assert len(line) < 130
    assert line[caret.index("^") :].startswith("data.nn }}")


def test_github_shows_each_beside_its_line(tmp_path: Path) -> None:
    root = written(tmp_path, MISSPELT)
    done = _run("templates", "check", str(root), "--format", "github")

    assert done.stdout == (
        f"::error file={root}/invoice.sent/email.text.j2,line=2,col=20,title=unknown-name::"
        "data has no 'nn'; nearest: 'n'"
        "%0Awrite the name as the data has it, or describe it in the schema\n"
    )


def test_code_scanning_gets_sarif_with_places_and_rules(tmp_path: Path) -> None:
    root = written(tmp_path, {**MISSPELT, "email.html.j2": "{{ broken"})
    done = _run("templates", "check", str(root), "--format", "sarif")

    (run,) = json.loads(done.stdout)["runs"]
    (result,) = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (result["ruleId"], result["level"], place["region"]["startLine"]) == ("fails", "error", 1)
    assert place["artifactLocation"]["uri"] == f"{root}/invoice.sent/email.html.j2"
    assert result["ruleId"] in [rule["id"] for rule in run["tool"]["driver"]["rules"]]


def test_a_project_says_how_serious_it_is_and_a_comment_takes_one_out(tmp_path: Path) -> None:
    root = written(tmp_path, {"email.text.j2": "{{ data.nn }} {# ignore unknown-name: the next release has it #}"})
    # The sample still fails with it.
    assert _run("templates", "check", str(root), "--json").exit_code == 1

    root = written(tmp_path / "two", {"email.text.j2": "{{ data.n | money }}"})
    (root / "_checks.yaml").write_text("no-currency: error\n")
    done = _run("templates", "check", str(root), "--json")
    assert [one["code"] for one in json.loads(done.stdout)["problems"]] == ["no-currency"]
