"""How long tests wait for what they can see, in one place.

A test that passes never waits for the bound: it goes on as soon as what it waits for is there. So the bound is far
beyond what a slow and busy machine takes, and only a test that fails pays for it.
"""

import time
from collections.abc import Callable

PATIENCE_S = 120.0
"""Below the time that pytest gives a whole test, so that what is missing is named before the test is cut off."""


def poll(condition: Callable[[], object], what: str, timeout: float = PATIENCE_S) -> None:
    """Wait for something the outside can see; fails with ``what`` when it never comes."""
    begun = looked = time.monotonic()
    while not condition():
        now = time.monotonic()
        if now > begun + timeout:
            raise AssertionError(f"after {timeout:.0f} s still not: {what}")
        # At most half of the time is spent looking: what is waited for needs the processor too.
        time.sleep(max(0.05, now - looked))
        looked = time.monotonic()
