"""Compiled rules: what their expressions may give."""

from typing import Any

import pytest

from notifier.errors import PlanningError, RenderError
from notifier.rules.matching import MAX_KEY, is_nobody
from tests.unit.rules.trees import Tree, order

DIGEST = "channel: digest\nto: data.to\nkey: data.key\nwindow: {every: 1h}"


@pytest.mark.parametrize(("key", "expected"), [("a-7", "a-7"), (7, "7"), (1.5, "1.5"), ("ä", "ä")])
def test_a_digest_key_is_text_or_a_number(tree: Tree, key: Any, expected: str) -> None:
    tree.rule(DIGEST)
    (compiled,) = tree.load().matching("order.shipped")
    assert compiled.group_key(order({"key": key})) == expected


@pytest.mark.parametrize("key", [None, True, [], {}, "", "a\nb", "x" * (MAX_KEY + 1), 2**300])
def test_any_other_digest_key_fails_naming_the_rule_and_its_line(tree: Tree, key: Any) -> None:
    # Given
    tree.rule(DIGEST)
    (compiled,) = tree.load().matching("order.shipped")

    # When
    with pytest.raises(PlanningError) as caught:
        compiled.group_key(order({"key": key}))

    # Then
    told = str(caught.value)
    assert told.startswith("rule order.shipped/one (templates/order.shipped/rules.yaml:7): key (data.key) gave ")
    assert caught.value.field == "key"


def test_an_attachment_is_its_expressions_values(tree: Tree) -> None:
    # Given
    tree.rule("channel: email\nto: data.to\nattachments: [{name: data.n, content: data.c, media_type: text/csv}]")
    compiled = tree.load().compiled("order.shipped/one")
    assert compiled is not None
    (attachment,) = compiled.attachments

    # Then
    assert attachment.values(order({"n": "a.csv", "c": "YQ=="})) == ("a.csv", "text/csv", "YQ==")
    with pytest.raises(RenderError, match=r"data\.c"):
        attachment.values(order({"n": "a.csv"}))


@pytest.mark.parametrize("value", [None, "", [], {}, ()])
def test_nobody_is_null_or_anything_empty(value: Any) -> None:
    assert is_nobody(value)


@pytest.mark.parametrize("value", ["a", [None], {"id": 1}, 0, False])
def test_anything_else_is_somebody_or_a_mistake(value: Any) -> None:
    assert not is_nobody(value)
