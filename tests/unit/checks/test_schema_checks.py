"""What is wrong with a schema though it is one."""

import json
from typing import Any

import pytest

from notifier.checks.schema_checks import check_schema


def told(schema: Any) -> list[tuple[str, str]]:
    text = json.dumps(schema, indent=1)
    return [(one.severity.value, f"{one.line}: {one.what} | {one.fix}") for one in check_schema(schema, text, "s")]


@pytest.mark.parametrize(
    ("schema", "severity", "says"),
    [
        (
            {"propertis": {}},
            "error",
            "`propertis` is no word of JSON Schema, and nothing reads it | did you mean `prop",
        ),
        ({"properties": {"a": {"requird": []}}}, "error", "did you mean `required`?"),
        ({"items": {"anyOf": [{"fromat": "date"}]}}, "error", "did you mean `format`?"),
        ({"type": "string", "nullable": True}, "warning", 'write "type": ["string", "null"]'),
        ({"type": "string", "x-owner": "shop"}, "hint", "take it out, or write `$comment`"),
        ({"properties": {"a": {}}, "required": ["a", "b"]}, "warning", "'b' is required, and `properties` does not"),
        ({}, "warning", "lets everything through"),
        ({"title": "all"}, "warning", "lets everything through"),
    ],
)
def test_it_is_told(schema: Any, severity: str, says: str) -> None:
    ((found, words),) = told(schema)

    assert found == severity
    assert says in words


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"propertis": {"type": "string"}, "nullable": {"const": 1}}},
        {"required": ["b"], "properties": {}, "additionalProperties": {"type": "string"}},
        {"required": ["b"]},
        {"type": "object", "examples": [{"propertis": 1}], "default": {"requird": 1}},
    ],
)
def test_names_of_data_and_examples_are_no_words(schema: Any) -> None:
    assert told(schema) == []
