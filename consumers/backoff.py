"""How long to wait before trying a dependency again."""

from __future__ import annotations

import random

#: Seconds: the first wait and the longest. What is away for long is asked twice a minute, which no server notices.
FIRST_S = 0.2
LONGEST_S = 30.0


class Backoff:
    """Waits that double up to a limit, spread so that consumers which lost one broker do not return as one."""

    def __init__(self, first: float = FIRST_S, longest: float = LONGEST_S) -> None:
        self._first = first
        self._longest = longest
        self._tries = 0

    def seconds(self) -> float:
        """The next wait: between half and all of the doubled one."""
        # 2.0 ** 1024 is an OverflowError, and a broker may well be away for a thousand tries.
        full = min(self._longest, self._first * 2.0 ** min(self._tries, 32))
        self._tries += 1
        return full * random.uniform(0.5, 1)  # noqa: S311 (spreading load, not a secret)

    def reset(self) -> None:
        """Start over, because it worked."""
        self._tries = 0
