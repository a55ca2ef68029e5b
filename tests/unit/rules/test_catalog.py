"""The catalog: rules, schemas and samples found by event type."""

import pytest

from notifier.errors import SchemaMismatch
from notifier.rules.catalog import MAX_CACHED_TYPES
from tests.unit.rules.trees import FOLDER, Tree, order

TOTAL = {"properties": {"total": {"type": "number"}}}


def test_an_event_type_finds_the_rules_of_every_folder_that_is_for_it(tree: Tree) -> None:
    # Given
    tree.rule("channel: webhook", folder="a", event="order.*")
    tree.rule("channel: webhook", folder="b", event="order.shipped")
    tree.rule("channel: webhook", folder="c", event="order.paid")
    catalog = tree.load()

    # Then
    assert [compiled.rule.id for compiled in catalog.matching("order.shipped")] == ["a/one", "b/one"]
    assert [compiled.rule.id for compiled in catalog.matching("order.cancelled")] == ["a/one"]
    assert catalog.matching("payment.failed") == ()


def test_what_an_event_type_finds_is_remembered(tree: Tree) -> None:
    tree.rule("channel: webhook")
    catalog = tree.load()
    assert catalog.matching(FOLDER) is catalog.matching(FOLDER)


def test_a_million_made_up_types_do_not_fill_memory(tree: Tree) -> None:
    # Given
    tree.rule("channel: webhook")
    catalog = tree.load()

    # When
    for number in range(2 * MAX_CACHED_TYPES + 10):
        catalog.matching(f"made.up.{number}")

    # Then
    assert len(catalog._cache) <= MAX_CACHED_TYPES
    assert len(catalog.matching(FOLDER)) == 1


def test_a_rule_is_found_by_its_id(tree: Tree) -> None:
    # Given
    tree.rule("channel: webhook")
    catalog = tree.load()

    # Then
    assert catalog.rule("order.shipped/one") is catalog.rules[0]
    assert catalog.rule("one") is None
    assert catalog.compiled("one") is None


def test_data_is_checked_by_the_schema_beside_the_rules(tree: Tree) -> None:
    # Given
    tree.rule("channel: webhook")
    tree.json("order.shipped/schema.json", TOTAL)
    catalog = tree.load()

    # Then
    catalog.validate(order({"total": 1}))
    with pytest.raises(
        SchemaMismatch, match=r"data\.total: value is not of type \"number\" \(templates/order\.shipped/"
    ):
        catalog.validate(order({"total": "1"}))


def test_a_pattern_s_schema_is_for_every_type_it_means(tree: Tree) -> None:
    # Given
    tree.rule("channel: webhook", event="order.*")
    tree.json("order.shipped/schema.json", TOTAL)
    catalog = tree.load()

    # Then
    with pytest.raises(SchemaMismatch):
        catalog.validate(order({"total": "1"}, type="order.paid"))
    catalog.validate(order({"total": "1"}, type="payment.failed"))


def test_a_type_without_schema_is_not_checked(tree: Tree) -> None:
    tree.rule("channel: webhook")
    tree.load().validate(order({"anything": [1, None]}))


def test_samples_are_found_by_folder_the_plain_one_first(tree: Tree) -> None:
    # Given
    tree.rule("channel: webhook")
    sample = {"specversion": "1.0", "id": "1", "source": "/shop", "type": FOLDER}
    for name in ("sample.large.json", "sample.json", "sample.empty.json"):
        tree.json(f"order.shipped/{name}", sample)

    # When
    samples = tree.load().samples

    # Then
    assert [(sample.name, sample.file) for sample in samples[FOLDER]] == [
        ("", "templates/order.shipped/sample.json"),
        ("empty", "templates/order.shipped/sample.empty.json"),
        ("large", "templates/order.shipped/sample.large.json"),
    ]


def test_patterns_tell_what_each_folder_is_for(tree: Tree) -> None:
    tree.rule("channel: webhook", event="order.*")
    assert tree.load().patterns == {FOLDER: "order.*"}
