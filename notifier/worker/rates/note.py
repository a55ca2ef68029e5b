"""`Note`: what a worker sees of whom it sends to, told when it has changed, and only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Seen = TypeVar("Seen")


class Note(Generic[Seen]):
    """``look`` says what there is, ``tell`` writes it down and whether that could be done."""

    def __init__(self, look: Callable[[], Seen], told: Seen, tell: Callable[[Seen], bool]) -> None:
        self._look = look
        self._told = told
        self._tell = tell
        self._telling = False

    def follow(self) -> None:
        """After a batch: some comparisons when nothing changed."""
        # One at a time: of two that write, the older look could come last, and an idle worker would leave it there.
        if self._telling:
            return
        self._telling = True
        try:
            while (seen := self._look()) != self._told and self._tell(seen):
                self._told = seen
        finally:
            self._telling = False
