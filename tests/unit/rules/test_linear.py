"""Patterns of schemas: those whose time has no bound are refused when they are read, with what to write instead."""

import re
from typing import Any

import pytest

from notifier.rules.linear import MAX_WRITTEN_OUT, patterns, written_out
from notifier.rules.schemas import Schema, SchemaMistake


def schema(pattern: str) -> Schema:
    return Schema({"properties": {"sku": {"type": "string", "pattern": pattern}}}, "schema.json")


@pytest.mark.parametrize(
    ("pattern", "why", "instead"),
    [
        (r"^(?=.*\d)[a-z]+$", "looks ahead", "write what may stand there"),
        (r"^(?!admin).*$", "looks ahead", "write what may stand there"),
        (r"(?<=a)b", "looks ahead or behind", "write what may stand there"),
        (r"(?<!a)b", "looks ahead or behind", "write what may stand there"),
        (r"^(a+)\1$", "refers back", "a rule's expression"),
        (r"(?<x>a)\k<x>", "refers back", "a rule's expression"),
        (r"[a-z]{0,5000}b", "5,001 characters", "maxLength"),
        (r"((a{1,40}b){1,40}){2}", "3,280 characters", "maxLength"),
        (r"\w{999999999}", "999,999,999 characters", "maxLength"),
    ],
)
def test_a_pattern_whose_time_has_no_bound_is_refused(pattern: str, why: str, instead: str) -> None:
    # When
    with pytest.raises(SchemaMistake, match=re.escape(why)) as caught:
        schema(pattern)

    # Then
    assert caught.value.path == ("properties", "sku", "pattern")
    assert repr(pattern) in str(caught.value)
    assert instead in str(caught.value)


@pytest.mark.parametrize(
    "pattern",
    [
        "^(a+)+$",
        "(x+x+)+y",
        "^(a|aa)*$",
        r"^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$",
        r"^[\w -]{1,200}$",
        r"^\p{L}[\p{L}'’ -]*$",
        r"[(?=]x",
        r"\[(?:=)\]",
        r"\\1",
        r"^[^\]]{3}(?:a|b){1,3}$",
        "^order-[0-9]{8}$",
    ],
)
def test_what_the_engine_matches_in_time_of_the_text_is_taken(pattern: str) -> None:
    assert schema(pattern).mistakes({"sku": 5})


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2,1}", r"\p{Nothing}"])
def test_what_is_no_pattern_is_refused_as_before(pattern: str) -> None:
    with pytest.raises(SchemaMistake, match="not a JSON Schema"):
        Schema({"pattern": pattern}, "schema.json")


@pytest.mark.parametrize(
    ("pattern", "length"),
    [("abc", 3), ("a{3}", 3), ("a{2,}", 2), ("(ab{2}){3}", 9), (r"[a-z\]]{2}\d", 3), ("a{0}", 1), ("x*y+z?", 3)],
)
def test_repetitions_are_counted_as_if_they_were_written_out(pattern: str, length: int) -> None:
    assert written_out(pattern) == length


def test_a_text_made_for_backtracking_is_checked_as_any_other() -> None:
    # Given patterns that an engine with backtracking never ends on, the longest that are taken among them
    texts = ("a" * 200_000 + "!", "ab" * 100_000)
    for pattern in ("^(a+)+$", "(x+x+)+y", f"^a{{0,{MAX_WRITTEN_OUT - 3}}}b$"):
        checked = Schema({"pattern": pattern}, "schema.json")

        # When and then: each has an answer, which is not that the engine gave up
        for text in texts:
            assert [mistake.what for mistake in checked.mistakes(text)] == [f'value does not match "{pattern}"']


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"pattern": "a"}, [("pattern",)]),
        ({"properties": {"pattern": {"pattern": "a"}}}, [("properties", "pattern", "pattern")]),
        ({"properties": {"enum": {"pattern": "a"}}}, [("properties", "enum", "pattern")]),
        (
            {"patternProperties": {"a": {"pattern": "b"}}},
            [("patternProperties",), ("patternProperties", "a", "pattern")],
        ),
        ({"anyOf": [{}, {"pattern": "a"}]}, [("anyOf", 1, "pattern")]),
        ({"const": {"pattern": "a"}, "default": {"pattern": "a"}, "enum": [{"pattern": "a"}]}, []),
        (True, []),
    ],
)
def test_every_pattern_of_a_schema_is_found(schema: Any, where: list[Any]) -> None:
    assert [path for path, _ in patterns(schema)] == where
