"""What was learned of a relay, each thing for a bounded time."""

from typing import Any

import pytest

from notifier.engine.relay_habits import ONE_MORE_EVERY_S, REMEMBERED_S, Plainness, RelayHabits
from tests.unit.engine.factories import RELAY, Clock, connection


@pytest.fixture
def clock() -> Clock:
    return Clock()


def made(clock: Clock, **options: Any) -> RelayHabits:
    return RelayHabits(RELAY, clock, **{"connections": 10, **options})


def test_a_relay_that_serves_fewer_is_asked_for_one_more_now_and_then(clock: Clock) -> None:
    habits = made(clock)
    assert habits.serves_more_than(9)
    assert not habits.serves_more_than(10)

    habits.serves_only(3, "421 too many connections")
    assert (habits.scarce, habits.connections) == (True, 3)
    assert not habits.serves_more_than(3)

    clock.now += ONE_MORE_EVERY_S
    assert habits.serves_more_than(3)
    assert (habits.connections, habits.serves_more_than(4)) == (4, False)


def test_it_serves_at_least_one_and_never_more_than_we_open(clock: Clock) -> None:
    habits = made(clock)

    habits.serves_only(0, "421")
    assert habits.connections == 1
    habits.serves(50)

    assert (habits.connections, habits.scarce) == (10, False)


def test_how_many_mails_a_connection_takes_is_forgotten_after_a_while(clock: Clock) -> None:
    habits = made(clock)

    habits.takes_only(20, "452")
    assert habits.mails == 20
    clock.now += REMEMBERED_S

    assert habits.mails == 0


def test_closed_twice_after_as_many_mails_is_no_chance(clock: Clock) -> None:
    habits = made(clock)

    habits.closed_after(20, "421")
    habits.closed_after(7, "421")
    assert habits.mails == 0
    habits.closed_after(7, "421")

    assert habits.mails == 7


def test_it_is_talked_to_as_plainly_as_it_wants_and_after_a_while_as_it_offers(clock: Clock) -> None:
    habits = made(clock, announce=True)
    habits.note_accepted(True, True)
    assert habits.announces

    habits.wants(Plainness.ONE_BY_ONE, "it lost commands")
    habits.wants(Plainness.NOT_ANNOUNCED, "less plain says nothing new")
    assert (habits.plainness, habits.announces) == (Plainness.ONE_BY_ONE, False)

    clock.now += REMEMBERED_S
    assert habits.plainness is Plainness.AS_OFFERED
    assert (habits.grouping_works, habits.announcing_works) == (False, False)


def test_announcing_is_tried_on_one_connection_alone_until_it_works(clock: Clock) -> None:
    habits = made(clock, announce=True)
    first, second = connection(usable=True), connection(usable=True)

    assert habits.may_announce(first)
    assert not habits.may_announce(second)
    habits.note_accepted(False, True)

    assert habits.may_announce(second)


def test_a_trial_whose_connection_is_gone_is_made_on_another_later(clock: Clock) -> None:
    habits = made(clock, announce=True)
    first, second = connection(usable=True), connection(usable=True)
    habits.may_announce(first)
    first.usable = False

    assert not habits.may_announce(second)
    clock.now += ONE_MORE_EVERY_S

    assert habits.may_announce(second)
