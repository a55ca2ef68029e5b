"""``limit:`` in a rules.yaml: how fast all deliveries of a rule leave together."""

import pytest

from notifier.domain.limit import parse_rate
from notifier.errors import RulesError
from notifier.rules.explanation import explain
from tests.unit.rules.trees import NOW, Endpoints, Tree, order

EMAIL = "channel: email\nto: data.to\n"


def test_a_limit_is_a_rate(tree: Tree) -> None:
    tree.rule(EMAIL + "limit: 20/s burst 40")

    (rule,) = tree.load().rules

    assert rule.limit == parse_rate("20/s burst 40")


def test_a_rule_without_one_has_none(tree: Tree) -> None:
    tree.rule(EMAIL)

    (rule,) = tree.load().rules

    assert rule.limit is None


@pytest.mark.parametrize("text", ["fast", "20", "0/s", "[1, 2]"])
def test_what_is_no_rate_is_told_with_its_line(tree: Tree, text: str) -> None:
    tree.rule(EMAIL + f"limit: {text}")

    with pytest.raises(RulesError) as refused:
        tree.load()

    (problem,) = refused.value.problems
    assert "limit" in problem.what
    assert problem.where.rpartition(":")[2].isdigit()


def test_explain_says_how_fast_a_rule_sends(tree: Tree) -> None:
    tree.rule(EMAIL + "limit: 5/10s")

    (rule,) = explain(
        order({"id": "A-1", "to": "ada@example.org"}), tree.load(), Endpoints(), tree.renderer(), NOW
    ).rules

    assert rule.limit == "5/10s"
