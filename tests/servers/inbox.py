"""What a sink has received, and waiting for it: shared by the SMTP and the HTTP sink."""

import threading
from typing import Generic, TypeVar

from tests.servers.patience import PATIENCE_S

T = TypeVar("T")


class Inbox(Generic[T]):
    """A growing list that other threads can wait on."""

    def __init__(self) -> None:
        self._items: list[T] = []
        self._grew = threading.Condition()

    def add(self, item: T) -> None:
        """Appends one item and wakes whoever waits."""
        with self._grew:
            self._items.append(item)
            self._grew.notify_all()

    def items(self) -> list[T]:
        """A copy of what has come so far, in order."""
        with self._grew:
            return list(self._items)

    def clear(self) -> None:
        """Forgets everything received so far."""
        with self._grew:
            self._items.clear()

    def wait_for(self, count: int, timeout: float = PATIENCE_S) -> list[T]:
        """Returns as soon as `count` items are here; says how many came when they do not all come."""
        with self._grew:
            if not self._grew.wait_for(lambda: len(self._items) >= count, timeout):
                raise AssertionError(
                    f"{len(self._items)} of {count} arrived within {timeout:.0f} s: {self._items!r:.2000}"
                )
            return list(self._items)
