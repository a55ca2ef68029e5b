"""Durations as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.rules.durations import seconds, written


@pytest.mark.parametrize(
    ("text", "value"),
    [("90s", 90), ("15m", 900), ("6h", 21600), ("2d", 172800), ("1.5h", 5400), ("30", 30), ("1", 1)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "6 h", "6hours", "h", "-1h", "0s", "0.5s", "367d", "1w", "1h30m", "٣h", "1e3"])
def test_anything_else_is_no_duration(text: str) -> None:
    assert seconds(text) is None


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0s"), (30, "30s"), (5400, "1h 30m"), (86400, "1d"), (90061, "1d 1h"), (604800, "7d")]
)
def test_a_duration_is_written_in_its_two_largest_units(value: float, text: str) -> None:
    assert written(value) == text


@given(st.text())
def test_any_text_is_read_or_refused_without_an_error(text: str) -> None:
    assert seconds(text) is None or seconds(text) >= 1  # type: ignore[operator]
