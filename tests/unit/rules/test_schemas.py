"""schema.json: draft 2020-12, formats checked, nothing fetched, no values of people in what is told."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.errors import SchemaMismatch
from notifier.rules.schemas import Schema, SchemaMistake

ORDER = {
    "type": "object",
    "required": ["customer", "total"],
    "additionalProperties": False,
    "properties": {
        "customer": {"type": "object", "properties": {"email": {"type": "string", "format": "email"}}},
        "total": {"type": "number", "minimum": 0},
        "items": {"type": "array", "items": {"type": "object", "required": ["sku"]}},
    },
}


def schema(source: Any = ORDER) -> Schema:
    return Schema(source, "templates/order.shipped/schema.json")


def test_data_that_fits_passes() -> None:
    schema().check({"customer": {"email": "ada@example.org"}, "total": 3, "items": [{"sku": "A"}]})


def test_a_mismatch_names_the_path_what_is_expected_and_the_file() -> None:
    # When
    with pytest.raises(SchemaMismatch) as caught:
        schema().check({"customer": {"email": "ada@example.org"}, "total": 3, "items": [{"sku": "A"}, {}]})

    # Then
    assert str(caught.value) == 'data.items[1]: "sku" is a required property (templates/order.shipped/schema.json)'
    assert caught.value.field == "data.items[1]"


def test_a_mismatch_never_shows_values() -> None:
    # Given data whose wrong values are a person's
    data = {"customer": {"email": "ada lovelace, London"}, "total": "4111 1111 1111 1111"}

    # When
    with pytest.raises(SchemaMismatch) as caught:
        schema().check(data)

    # Then
    told = str(caught.value)
    assert "data.customer.email: value is no valid email" in told
    assert 'data.total: value is not of type "number"' in told
    assert "lovelace" not in told
    assert "4111" not in told


def test_names_of_keys_are_clipped_because_they_may_be_data_too() -> None:
    # When
    with pytest.raises(SchemaMismatch) as caught:
        schema().check({"customer": {}, "total": 1, "x" * 90: 1})

    # Then
    assert "x" * 40 + "…" in str(caught.value)
    assert "x" * 41 not in str(caught.value)


def test_only_the_first_three_mistakes_are_told() -> None:
    # When
    mistakes = schema({"items": {"type": "string"}}).mistakes(list(range(1000)))

    # Then
    assert [mistake.where for mistake in mistakes] == ["data[0]", "data[1]", "data[2]"]


@pytest.mark.parametrize(
    ("source", "path", "what"),
    [
        ({"type": "objekt"}, ("type",), "not a JSON Schema"),
        ({"properties": {"a": {"minimum": "1"}}}, ("properties", "a", "minimum"), "not a JSON Schema"),
        ({"pattern": "("}, ("pattern",), "not a JSON Schema"),
        ({"$ref": "#/$defs/missing"}, (), "not a JSON Schema"),
        ({"$ref": "http://127.0.0.1/secret"}, (), "not a JSON Schema"),
        ({"$ref": "file:///etc/passwd"}, (), "not a JSON Schema"),
        ({"format": "emial"}, ("format",), "not a JSON Schema"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, ("$schema",), "$schema is"),
        ([], (), "a schema is an object"),
    ],
)
def test_a_wrong_schema_is_refused_with_the_place(source: Any, path: tuple[str, ...], what: str) -> None:
    # When
    with pytest.raises(SchemaMistake) as caught:
        schema(source)

    # Then
    assert str(caught.value).startswith(what)
    assert caught.value.path == path


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$"])
def test_a_hostile_pattern_ends_by_itself(pattern: str) -> None:
    """Python's own `re` would take years for these; the test's time limit is the proof."""
    assert schema({"pattern": pattern}).mistakes("a" * 5000 + "b")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_any_data_fits_or_is_a_mismatch(data: Any) -> None:
    for mistake in schema().mistakes(data):
        assert mistake.where.startswith("data")


@given(st.dictionaries(st.sampled_from(["type", "items", "$ref", "pattern", "enum", "format", "$defs", "allOf"]), JSON))
def test_any_object_is_a_schema_or_a_mistake(source: Any) -> None:
    with suppress(SchemaMistake):
        schema(source)


def test_data_nested_as_deep_as_a_parser_allows_is_checked_without_harm() -> None:
    # Given a schema that follows the nesting, and 4,000 levels
    nested: Any = []
    for _ in range(4000):
        nested = [nested]

    # Then
    schema({"$ref": "#/$defs/x", "$defs": {"x": {"items": {"$ref": "#/$defs/x"}}}}).check(nested)
