"""Paths into an answer's JSON."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.provider import BodyTest, found_at, parse_path

ANSWER = {
    "data": [{"status": "error", "details": {"error": "DeviceNotRegistered"}}, {"status": "ok"}],
    "code": 21211,
    "ok": False,
    "nothing": None,
}


@pytest.mark.parametrize(
    ("path", "words", "matches"),
    [
        ("code", {"21211"}, True),
        ("code", {"21212", "21211"}, True),
        ("code", {"21212"}, False),
        ("ok", {"false"}, True),
        ("ok", {"False"}, False),
        ("nothing", {"null"}, True),
        ("data[0].status", {"error"}, True),
        ("data.0.details.error", {"DeviceNotRegistered"}, True),
        ("data[*].status", {"ok"}, True),
        ("data[2].status", {"ok"}, False),
        ("data", {"ok"}, False),
        ("code.x", {"21211"}, False),
        ("code[*]", {"21211"}, False),
        ("nope.nope", {"x"}, False),
    ],
)
def test_a_place_of_the_answer_is_compared_as_it_is_written(path: str, words: set[str], matches: bool) -> None:
    assert BodyTest(parse_path(path), frozenset(words)).matches(ANSWER) is matches


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "[", "a b", "a]", "a" + ".a" * 20])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(path)


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@given(_JSON, st.sampled_from(["a", "[0]", "a.b", "a[*].b", "[*][*]", "0.a"]))
def test_an_answer_of_any_shape_is_looked_at_without_an_error(answer: Any, path: str) -> None:
    assert isinstance(found_at(parse_path(path), answer), list)
