"""When a mail's wait for a connection ends, and then its transaction."""

from notifier.engine.deadlines import EARLY_SHARE, QUEUE_SHARE, Deadlines
from tests.unit.engine.factories import Clock


def test_waiting_may_take_longer_than_the_transaction_whose_time_begins_with_a_connection() -> None:
    clock = Clock()
    deadlines = Deadlines(10.0, clock, clock.now)
    assert deadlines.queue == clock.now + 10 * QUEUE_SHARE
    assert deadlines.taken == 0

    clock.now += 25
    deadlines.begin()
    clock.now += 3

    assert (deadlines.late, deadlines.taken) == (clock.now - 3 + 10, 3)
    assert deadlines.early == deadlines.late - 10 * (1 - EARLY_SHARE)


def test_a_second_relay_inherits_what_is_left() -> None:
    clock = Clock()
    deadlines = Deadlines(10.0, clock, clock.now)
    deadlines.begin()
    late = deadlines.late

    clock.now += 4
    deadlines.begin()

    assert (deadlines.late, deadlines.taken) == (late, 4)


def test_a_mail_that_goes_again_has_its_whole_time_but_never_beyond_its_wait_and_one_transaction() -> None:
    clock = Clock()
    deadlines = Deadlines(10.0, clock, clock.now)
    deadlines.begin()
    clock.now += 8
    deadlines.end()
    deadlines.begin()
    assert deadlines.late == clock.now + 10

    clock.now += 1000
    deadlines.end()
    deadlines.begin()
    assert deadlines.late == deadlines.queue + 10
