"""What is told when it has changed."""

from notifier.worker.rates.note import Note


def test_what_changed_is_told_once_and_what_could_not_be_told_again() -> None:
    told: list[int] = []
    now, works = [0], [True]

    def tell(seen: int) -> bool:
        told.append(seen)
        return works[0]

    note = Note(lambda: now[0], 0, tell)
    note.follow()
    assert told == []

    now[0], works[0] = 1, False
    note.follow()
    works[0] = True
    note.follow()
    note.follow()

    assert told == [1, 1]
