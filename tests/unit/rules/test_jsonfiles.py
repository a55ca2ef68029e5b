"""JSON files: strict reading, and the line of a mistake that is found by path."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.rules.jsonfiles import JsonMistake, line_of, read_json

#: One line of its own for every value: strings without the escapes that json.dumps writes for line ends anyway.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def paths(value: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, entry in entries for path in paths(entry, (*here, key)))]


@given(VALUES)
def test_the_line_of_any_value_is_where_json_dumps_put_it(value: Any) -> None:
    # Given JSON in which every value but closing brackets starts a line
    text = json.dumps(value, indent=1)
    starts = [n for n, line in enumerate(text.splitlines(), 1) if line.strip().rstrip(",") not in ("]", "}")]

    # Then paths in reading order are on these lines, one by one
    assert [line_of(text, path) for path in paths(value)] == starts


def test_a_path_that_is_not_there_gives_the_nearest_value_around_it() -> None:
    text = '{\n "data": {\n  "a": 1\n }\n}'
    assert line_of(text, ("data", "b", 0)) == 2
    assert line_of(text, ("x",)) == 1


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('{"a": 1,\n "b": }', 2, "not JSON: Expecting value"),
        ('{"a": 1,\n "b": 2,\n "b": 3}', 2, "'b' is written twice in one object"),
        ('{\n "a": NaN}', 2, "NaN is not JSON"),
        ("[" * 100_000, 1, "not JSON we read"),
        ("9" * 5000, 1, "not JSON we read"),
        ("", 1, "not JSON"),
    ],
)
def test_what_is_not_json_is_told_with_its_line(text: str, line: int, what: str) -> None:
    # When
    with pytest.raises(JsonMistake) as caught:
        read_json(text)

    # Then
    assert str(caught.value).startswith(what)
    assert caught.value.line == line


@given(st.text())
def test_any_text_is_a_value_or_a_mistake(text: str) -> None:
    with suppress(JsonMistake):
        read_json(text)
