"""Turns on a real Redis: kept as long as a walk goes on, however slowly, and lost when somebody else has them."""

from collections.abc import Iterator

import pytest

from notifier.failures.turns import turn_at
from notifier.storage import keys
from notifier.storage.connection import connect
from notifier.storage.parked import ParkedIndex
from notifier.storage.store import Store
from tests.servers.patience import poll

PLACE = "failed-email-3"
KEY = keys.parked_walker(PLACE)


@pytest.fixture
def store(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """With turns that are renewed at once."""
    monkeypatch.setattr("notifier.failures.turns.RENEW_S", 0.01)
    store = connect(redis_url)
    yield store
    store.close()


def test_a_turn_is_renewed_while_its_walk_waits(store: Store) -> None:
    with turn_at(ParkedIndex(store), PLACE, 0.0) as turn:
        assert turn is not None
        for _ in range(3):
            # When its time would soon be over, then it is soon as long as ever
            store.client.pexpire(KEY, 5000)
            poll(lambda: store.client.pttl(KEY) > 5000, "it is renewed")
        # And nobody else may walk
        assert not ParkedIndex(store).begin_walk(PLACE, "another", 1)
        assert not turn.is_lost
    assert not store.client.exists(KEY)


def test_whoever_has_lost_a_turn_is_told_and_takes_nobody_elses(store: Store) -> None:
    with turn_at(ParkedIndex(store), PLACE, 0.0) as turn:
        assert turn is not None
        # When another one has it, because Redis had forgotten it
        store.client.set(KEY, "another")
        poll(lambda: turn.is_lost, "it is lost")
    # Then it stays theirs
    assert store.client.get(KEY) in {"another", b"another"}


def test_a_turn_of_another_shelf_is_waited_for_by_nobody(store: Store) -> None:
    index = ParkedIndex(store)
    assert index.begin_walk(PLACE, "another", 60)

    with turn_at(index, PLACE, 0.0) as theirs, turn_at(index, "failed-email-4", 0.0) as ours:
        assert theirs is None
        assert ours is not None
