"""``omit:`` in a rules.yaml: read, its mistakes told with their line, and explained as the worker will see it."""

import pytest

from notifier.rules.explanation import explain
from tests.unit.rules.trees import NOW, Endpoints, Tree, order

EMAIL = "channel: email\nto: data.people\n"
DATA = {"id": "A-1", "people": ["ada@example.org"]}


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ("", ()),
        ("omit: data.people", ("data.people",)),
        ("omit: [data.people, data.to.debug_]", ("data.people", "data.to.debug_")),
        ("omit: []", ()),
    ],
)
def test_what_is_left_out_is_one_part_of_the_data_or_several(tree: Tree, written: str, paths: tuple[str, ...]) -> None:
    tree.rule(EMAIL + written)
    (rule,) = tree.load().rules
    assert rule.omit == paths


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("omit: people", "7: rule 'one': 'people' is no part of the data (plain names below data"),
        ("omit: data", "'data' is no part of the data"),
        ("omit: data.people[0]", "'data.people[0]' is no part of the data"),
        ("omit: [data.a, event.id]", "'event.id' is no part of the data"),
        ("omit: {data: people}", "omit is a mapping, expected text"),
        ("omit: [[data.a]]", "is no part of the data"),
    ],
)
def test_a_wrong_path_is_told_with_its_line(tree: Tree, written: str, told: str) -> None:
    tree.rule(EMAIL + written)
    assert told in tree.told()


def test_a_template_that_reads_what_is_left_out_is_found_before_anybody_gets_a_mail(tree: Tree) -> None:
    # Given a rule that leaves out what its template reads
    tree.rule(EMAIL + "omit: data.id")

    # When it is explained, as `notifier check` does with every sample
    (rule,) = explain(order(DATA), tree.load(), Endpoints(), tree.renderer(), NOW).rules

    # Then the template's mistake is the one the worker would meet
    assert rule.total == 1
    assert "id" in rule.deliveries[0].error


def test_whom_it_reaches_is_read_before_anything_is_left_out(tree: Tree) -> None:
    tree.rule(EMAIL + "omit: data.people")
    (rule,) = explain(order(DATA), tree.load(), Endpoints(), tree.renderer(), NOW).rules
    assert [(one.to, one.subject) for one in rule.deliveries] == [("mailto:ada@example.org", "Order A-1")]
