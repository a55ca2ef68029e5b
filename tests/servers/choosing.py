"""The variables that choose the tests' servers, as they were at the start.

While a test runs they are out of the environment (`tests.conftest`): our settings refuse a ``NOTIFIER_`` that they do
not know.
"""

import os

PREFIX = "NOTIFIER_TEST_"
_AT_THE_START = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}


def choice(name: str) -> str:
    """What the environment says, or said at the start; empty when it does not."""
    return os.environ.get(name) or _AT_THE_START.get(name, "")
