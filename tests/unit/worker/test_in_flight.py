"""How many deliveries a worker has in hand, and whether there is room for more."""

import pytest

from notifier.domain.rule import Priority
from notifier.worker.in_flight import BUSY, InFlight


def test_what_was_begun_counts_until_it_has_ended() -> None:
    in_flight = InFlight(100)

    assert in_flight.begin(40, Priority.NORMAL)
    assert in_flight.count == 40
    in_flight.end(40)

    assert in_flight.count == 0


@pytest.mark.parametrize(("more", "fits"), [(60, True), (61, False)])
def test_there_is_room_up_to_the_bound_and_not_beyond(more: int, fits: bool) -> None:
    in_flight = InFlight(100)
    in_flight.begin(40, Priority.NORMAL)

    assert in_flight.begin(more, Priority.LOW) is fits
    assert in_flight.count == (40 + more if fits else 40)


def test_what_was_left_behind_takes_room_too() -> None:
    in_flight = InFlight(100)
    in_flight.left_behind = 90

    assert not in_flight.begin(20, Priority.NORMAL)
    assert in_flight.count == 90


def test_a_batch_larger_than_the_bound_goes_when_nothing_else_is_there() -> None:
    assert InFlight(10).begin(50, Priority.NORMAL)


def test_high_ones_always_have_room() -> None:
    in_flight = InFlight(100)
    in_flight.begin(100, Priority.NORMAL)

    assert in_flight.begin(50, Priority.HIGH)
    assert in_flight.count == 150


def test_a_worker_is_busy_with_a_few_batches_and_not_with_what_they_left_behind() -> None:
    in_flight = InFlight(10_000)
    in_flight.left_behind = 5000
    in_flight.begin(BUSY, Priority.NORMAL)
    assert not in_flight.busy

    in_flight.begin(1, Priority.NORMAL)
    assert in_flight.busy
