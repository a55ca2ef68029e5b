"""`InFlight`: how many deliveries a worker has in hand, its batches' and those that were left behind."""

from __future__ import annotations

from notifier.domain.rule import Priority

#: Deliveries in hand above which a worker is busy: a few batches.
BUSY = 200


class InFlight:
    """One per worker process; used on its hub's thread only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of_batches = 0
        self.left_behind = 0
        """Of batches that have ended."""

    @property
    def count(self) -> int:
        """All of them."""
        return self._of_batches + self.left_behind

    @property
    def busy(self) -> bool:
        """Whether much of what is asked is asked by several batches."""
        return self._of_batches > BUSY

    def begin(self, deliveries: int, priority: Priority) -> bool:
        """Whether there is room for a batch, which then counts until `end`.

        High ones always have it: they must not wait for others, and their prefetch bounds them.
        """
        if priority is not Priority.HIGH and self.count and self.count + deliveries > self._most:
            return False
        self._of_batches += deliveries
        return True

    def end(self, deliveries: int) -> None:
        """A batch has ended, but for those it left behind."""
        self._of_batches -= deliveries
