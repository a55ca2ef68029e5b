"""What fails again while it is being replayed stays visible."""

from collections.abc import Iterator

import pytest

from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked
from notifier.storage.connection import connect
from notifier.storage.parked import ParkedIndex
from notifier.storage.store import Store


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    made = connect(redis_url)
    yield made
    made.close()


def test_an_entry_that_was_parked_again_during_its_replay_is_not_dropped_from_the_index(store: Store) -> None:
    # Given two entries a replay has taken from the queue, one of which failed again before it came to the index
    index = ParkedIndex(store)
    first, second = (Parked(f"dlv_{n}", "failed-email", Cause.RENDER_FAILED, "no", 1.0) for n in range(2))
    index.add([first, second])
    seen = index.seen(["dlv_0", "dlv_1", "dlv_never"])
    again = Parked("dlv_1", "failed-email", Cause.RENDER_FAILED, "still no", 2.0)
    index.add([again])

    # When the replay drops what it took
    index.drop(seen)

    # Then the new entry is there, once, and the other one is gone
    assert index.get("dlv_0") is None
    assert index.get("dlv_1") == again
    assert index.counts() == {("failed-email", Cause.RENDER_FAILED): 1}
