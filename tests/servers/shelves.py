"""What lies on the shelves of a failure queue, or of what is held, counted with its queue."""

from collections import Counter
from collections.abc import Mapping

from notifier.domain.topology import queue_of


def with_shelves(depths: Mapping[str, int]) -> dict[str, int]:
    """Messages in each queue, those of its shelves included."""
    found: Counter[str] = Counter()
    for place, count in depths.items():
        found[queue_of(place)] += count
    return dict(found)
