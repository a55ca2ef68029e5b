"""Waits grow, are spread, have an end, and start over."""

from consumers.backoff import Backoff


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first=1, longest=10)
    waits = [backoff.seconds() for _ in range(2000)]
    assert all(full / 2 <= wait <= full for full, wait in zip([1, 2, 4, 8], waits, strict=False))
    assert all(5 <= wait <= 10 for wait in waits[4:])
    assert len({round(wait, 3) for wait in waits[4:]}) > 100


def test_after_a_success_it_starts_over() -> None:
    backoff = Backoff(first=1, longest=10)
    for _ in range(5):
        backoff.seconds()
    backoff.reset()
    assert backoff.seconds() <= 1
