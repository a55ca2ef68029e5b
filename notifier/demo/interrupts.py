"""Being asked to end, at a moment when nothing is half done: no process is ever started and forgotten."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: Ctrl-C, what an orchestrator or `timeout` sends, and the terminal being closed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """Somebody asked the demo to end; like its parent, no `except Exception` on the way takes it for an error."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_status = 128 + number


class Interrupts:
    """Within ``with``, signals that ask to end raise `Interrupted`; within `held` they wait until it is over."""

    def __init__(self) -> None:
        self._came: int | None = None
        self._is_held = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        """Take the signals over."""
        self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What happens in here happens whole; a signal that came meanwhile counts right after it."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._came is not None:
            raise Interrupted(self._came)

    def ignore(self) -> None:
        """From now on nothing raises: the ending has begun, and a second Ctrl-C must not leave half of it."""
        self._is_held = True

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        is_first, self._came = self._came is None, number
        if is_first and not self._is_held:
            raise Interrupted(number)
