"""Waiting for what the outside can see, and what a bench says when it does not come."""

import time
from collections.abc import Callable

#: Longest wait for anything; a bench that hangs must say so and end.
PATIENCE_S = 90.0


class BenchFailed(RuntimeError):
    """Something did not happen in time, or what arrived is not what was sent; the message says what."""


def until(condition: Callable[[], bool], what: str, *, every: float = 0.005, timeout: float = PATIENCE_S) -> float:
    """Wait for something; returns the moment (monotonic) at which it was seen."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise BenchFailed(f"after {timeout:.0f} s still not: {what}")
        time.sleep(every)
    return time.monotonic()
