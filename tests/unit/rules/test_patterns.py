"""Event patterns."""

import pytest

from notifier.rules.patterns import matches, mistake_in


@pytest.mark.parametrize(
    ("pattern", "event_type", "expected"),
    [
        ("order.shipped", "order.shipped", True),
        ("order.shipped", "order.shipped.late", False),
        ("order.shipped", "Order.shipped", False),
        ("order.*", "order.shipped", True),
        ("order.*", "order.shipped.late", True),
        ("order.*", "orders", False),
        ("*.failed", "payment.failed", True),
        ("*", "anything", True),
        ("order.[a-z]", "order.a", False),
    ],
)
def test_a_star_is_any_run_of_characters_and_nothing_else_is_special(
    pattern: str, event_type: str, expected: bool
) -> None:
    assert matches(pattern, event_type) is expected


@pytest.mark.parametrize("pattern", ["order.shipped", "com.example/order:v1", "order.*", "*", "a_b-c"])
def test_these_are_patterns(pattern: str) -> None:
    assert mistake_in(pattern) == ""


@pytest.mark.parametrize(
    "pattern", ["", "order shipped", "order..shipped", ".order", "order.", "a?", "[a]", "**", "ö", "x" * 256]
)
def test_these_are_mistakes_somebody_hears_of(pattern: str) -> None:
    assert mistake_in(pattern) != ""
