"""All mistakes of all files are told at once, those of rules beside those of templates."""

from pathlib import Path

import pytest

from notifier.errors import ConfigurationError, RulesError, TemplateError
from notifier.rendering.expressions import ExpressionError, Expressions
from notifier.rules.content import Content
from notifier.rules.live import fingerprint
from tests.unit.rules.trees import Tree

RULES = """
event: a.reply
category: x
colour: red
rules:
  - id: mail
    channel: email
    to: data.to
    replyto: data.customer
    carbon: data.cc
    blind: data.bcc
"""
HTML = """<p>{{ data.text | linkify }}</p>
{{ data.text | striptags }}
{% if data.text is palindrome %}{{ data.text | wordwrap(70) }}{% endif %}
"""


def mistakes(root: Path) -> list[tuple[str, str]]:
    """(file, what) of each."""
    with pytest.raises(ConfigurationError) as caught:
        Content.load(root)
    return [(Path(problem.where).parent.name, problem.what) for problem in caught.value.problems]


def test_unknown_keys_of_a_rule_are_told_beside_unknown_filters_of_another_folders_template(tree: Tree) -> None:
    # Given four unknown keys in one folder, and three unknown filters and a test in the Dutch templates of another
    tree.rules(RULES, "a.reply")
    tree.rules(RULES.replace("a.reply", "b").split("colour")[0] + "rules: [{id: m, channel: email, to: data.to}]", "b")
    tree.write("b/nl/email.subject.j2", "Hoi")
    tree.write("b/nl/email.html.j2", HTML)

    # When they are loaded
    found = mistakes(tree.root)

    # Then all are told
    assert [what for folder, what in found if folder == "nl"] == [
        "No filter named 'linkify'.",
        "No filter named 'striptags'.",
        "No filter named 'wordwrap'.",
        "No test named 'palindrome'.",
    ]
    unknown = [what for folder, what in found if folder == "a.reply"]
    assert len(unknown) == 4
    for key in ("colour", "replyto", "carbon", "blind"):
        assert any(key in what for what in unknown), unknown


def test_a_rule_is_not_blamed_for_templates_that_do_not_compile(tree: Tree) -> None:
    tree.rule("channel: email\nto: data.to")
    tree.write("order.shipped/email.text.j2", "{{ data.id | linkify }}")

    with pytest.raises(TemplateError) as caught:
        Content.load(tree.root)
    assert len(caught.value.problems) == 1


def test_mistakes_of_rules_alone_stay_mistakes_of_rules(tree: Tree) -> None:
    tree.rule("channel: email\nto: data.to\ncolour: red")
    with pytest.raises(RulesError):
        Content.load(tree.root)


def test_every_unknown_filter_of_an_expression_is_told() -> None:
    with pytest.raises(ExpressionError, match=r"'linkify'.*'wordwrap'"):
        Expressions().compile("data.a | linkify | wordwrap")


def test_links_that_lead_in_a_circle_are_each_told_and_hide_no_other_file(tree: Tree) -> None:
    # Given a link to itself for a file of each kind, beside files that are right
    tree.rules("event: order.shipped\ncategory: x\nrules: [{id: m, channel: email, to: data.to}]\n")
    seen = fingerprint(tree.root)
    circles = ("_channels/sms.yaml", "order.shipped/email.html.j2", "order.shipped/sample.json", "b/rules.yaml")
    for circle in circles:
        (tree.root / circle).parent.mkdir(exist_ok=True)
        (tree.root / circle).symlink_to(Path(circle).name)

    # When they are loaded
    with pytest.raises(ConfigurationError) as caught:
        Content.load(tree.root)

    # Then each is told, by its name
    told = {problem.where: problem.what for problem in caught.value.problems}
    assert len(told) == len(circles)
    for circle in circles:
        assert any(circle in where and "cannot be read" in what for where, what in told.items()), (circle, told)

    # And a change of the others is still seen
    tree.write("order.shipped/email.text.j2", "Another text altogether")
    assert len(set(seen) - set(fingerprint(tree.root))) == 1
