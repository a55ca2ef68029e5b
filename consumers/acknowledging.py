"""`Acknowledgements`: which messages are still unanswered, and the fewest frames that give it."""

from __future__ import annotations

from collections.abc import Collection, Iterator


class Acknowledgements:
    """Delivery tags of one channel, in the order they came."""

    def __init__(self) -> None:
        self._pending: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, tag: int) -> None:
        """A message has arrived."""
        self._pending[tag] = None

    def settle(self, tags: Collection[int]) -> Iterator[tuple[int, bool]]:
        """The (tag, multiple) acknowledgements that settle these tags and no other.

        One "multiple" covers all tags below the oldest one that is still pending; a slow fan-out before them costs the
        others one frame each, and never delays their acknowledgement.
        """
        for tag in tags:
            self._pending.pop(tag, None)
        oldest = next(iter(self._pending), None)
        covered = [tag for tag in tags if oldest is None or tag < oldest]
        if covered:
            yield max(covered), True
        yield from ((tag, False) for tag in tags if oldest is not None and tag > oldest)
