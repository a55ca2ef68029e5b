"""Coroutines in a loop with a time of its own: it stands still while anything runs, and leaps to the next timer.

What depends on who comes first within tenths of a second is then the same on a busy machine, and waits for nothing.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Leaping(selectors.DefaultSelector):
    """Adds up what it was asked to wait for, instead of waiting."""

    #: Not 0, which stands for "never" in places.
    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready already."""
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits for something that nobody will do"
            self.now += max(0.0, timeout)
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        """Seconds; no machine's."""
        return self._leaping.now


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """`asyncio.run` in such a loop."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(scenario)
