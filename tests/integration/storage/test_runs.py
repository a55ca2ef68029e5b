"""Which of several beats does a run, by Redis' clock."""

from collections.abc import Sequence

from notifier.storage.commands import Call, command
from notifier.storage.runs import Runs
from notifier.storage.store import Store
from notifier.storage.wire import Meanwhile
from tests.servers.patience import poll


def test_a_run_belongs_to_the_one_that_asks_first_until_the_next_is_due(store: Store) -> None:
    # Given two beats
    first, second = Runs(store), Runs(store)

    # When both ask
    assert first.take("sweep", 60) == 0

    # Then the second is told to wait, and so is the first when it asks again
    assert 0 < second.take("sweep", 60) <= 60
    assert 0 < first.take("sweep", 60) <= 60
    # And another task's runs are others
    assert second.take("other", 60) == 0


def test_the_next_run_belongs_to_whoever_asks_first_after_the_period(store: Store) -> None:
    # Given a beat that took a run and was frozen
    Runs(store).take("sweep", 0.2)

    # Then another one has the next
    another = Runs(store)
    poll(lambda: another.take("sweep", 60) == 0, "the next run")


def test_a_question_that_is_sent_again_finds_its_own_answer(store: Store) -> None:
    # Given a run that was taken on a connection that broke before the answer came
    asked: list[object] = []
    real = store._exchanger.exchange

    def twice(calls: Sequence[Call], meanwhile: Meanwhile = None) -> list[object]:
        asked.append(calls)
        real(calls)
        return real(calls, meanwhile)

    store._exchanger.exchange = twice  # type: ignore[method-assign]

    # Then the repeated question is no other beat's
    assert Runs(store).take("sweep", 60) == 0
    assert asked


def test_a_key_without_an_end_does_not_stop_beat_for_ever(store: Store) -> None:
    # Given a key that something made outlive every period
    store.run(_set("ntf:run:sweep"))

    # Then the run is taken
    assert Runs(store).take("sweep", 60) == 0


def _set(key: str):  # type: ignore[no-untyped-def]
    return (yield [command("SET", key, "somebody")])
