"""When a digest window closes."""

import pytest

from notifier.domain.rule import Window
from notifier.storage.digests import due_at


@pytest.mark.parametrize(
    ("window", "now", "expected"),
    [
        (Window(every=3600), 7200.5, 10800),
        (Window(every=3600), 7200, 10800),
        (Window(after_first=900), 1000, 1900),
        (Window(every=3600, after_first=60), 7200, 7260),
        (Window(after_first=900, at_most=50), 1000, 1900),
        (Window(at_most=50), 1000, 1000 + 86400),
    ],
)
def test_a_window_closes_when_its_rule_says(window: Window, now: float, expected: float) -> None:
    assert due_at(window, now) == expected
