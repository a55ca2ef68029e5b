"""A schema and the type of what it lets through."""

from typing import Any

import pytest

from notifier.checks.schema_types import type_of_schema
from notifier.checks.types import (
    ABSENT,
    ANYTHING,
    NULL,
    TEXT,
    ListOf,
    Number,
    ObjectOf,
    Text,
    Type,
    describe,
    members,
    union,
)


def fields(schema: Any) -> dict[str, Type]:
    found = type_of_schema(schema)
    assert isinstance(found, ObjectOf)
    return dict(found.fields)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "a text"),
        ({"type": ["integer", "null"]}, "a number or null"),
        ({"enum": ["a", 1, None]}, "a text or a number or null"),
        ({"const": True}, "true or false"),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, "a text or a list"),
        ({"oneOf": [{"type": "object"}, {"type": "boolean"}]}, "an object or true or false"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "number"}}}, "a number"),
        ({"properties": {}}, "an object"),
        ({"items": {}}, "a list"),
        (True, "anything"),
        ({"title": "x"}, "anything"),
        ({"$ref": "https://example.org/other.json"}, "anything"),
        ({"$ref": "#"}, "anything"),
    ],
)
def test_its_type_is_told_in_words(schema: Any, words: str) -> None:
    assert describe(type_of_schema(schema)) == words


def test_what_is_not_required_may_be_absent() -> None:
    found = fields({"required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}})

    assert found == {"a": TEXT, "b": union(TEXT, ABSENT)}


def test_required_names_have_the_type_of_all_others_when_they_are_not_described() -> None:
    found = fields({"required": ["a"], "additionalProperties": {"type": "string"}})

    assert found == {"a": TEXT}


def test_other_names_are_what_patterns_and_additional_properties_say() -> None:
    found = type_of_schema({"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False})
    nothing_said = type_of_schema({"properties": {"a": {}}})

    assert isinstance(found, ObjectOf)
    assert found.rest == union(TEXT, ABSENT)
    assert isinstance(nothing_said, ObjectOf)
    assert nothing_said.rest is None


def test_all_of_asks_for_all_that_its_parts_ask_for() -> None:
    found = fields(
        {
            "allOf": [
                {"required": ["a"], "properties": {"a": {"type": ["string", "null"]}}},
                {"properties": {"a": {"type": "string", "format": "date"}, "b": {"type": "integer"}}},
            ]
        }
    )

    assert found == {"a": Text(format="date"), "b": union(Number(whole=True), ABSENT)}


def test_what_only_a_condition_describes_may_be_absent() -> None:
    schema = {
        "required": ["kind"],
        "properties": {"kind": {"enum": ["a", "b"]}},
        "if": {"properties": {"kind": {"const": "a"}}},
        "then": {"required": ["more"], "properties": {"more": {"type": "string"}}},
    }

    assert fields(schema)["more"] == union(TEXT, ABSENT)


def test_schemas_that_refer_to_themselves_end_where_nobody_asks_further() -> None:
    tree = {"required": ["children"], "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}
    found = type_of_schema(tree)

    for _ in range(50):
        assert isinstance(found, ObjectOf)
        children = found.fields["children"]
        assert isinstance(children, ListOf)
        found = children.item


def test_lists_know_whether_they_have_an_element() -> None:
    filled, either = type_of_schema({"type": "array", "minItems": 1}), type_of_schema({"type": "array"})

    assert isinstance(filled, ListOf)
    assert filled.filled
    assert isinstance(either, ListOf)
    assert not either.filled


def test_tuples_are_lists_of_any_of_their_places() -> None:
    found = type_of_schema({"prefixItems": [{"type": "string"}, {"type": "null"}], "items": False})

    assert isinstance(found, ListOf)
    assert set(members(found.item)) == {TEXT, NULL}


def test_nothing_can_be_where_nothing_is_let_through() -> None:
    assert "a" not in fields({"properties": {"a": False, "b": True}})
    assert fields({"properties": {"a": False, "b": True}})["b"] == union(ANYTHING, ABSENT)
