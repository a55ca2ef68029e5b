"""When a connection is given up that TCP takes for well: a node that says nothing, a channel that confirms nothing."""

from collections.abc import Callable

import pytest

from notifier.client.silence import REFUSED_S, SILENT_S, UNCONFIRMED_ALONE_S, UNCONFIRMED_S, Silence, Stall


def looks_until(look: Callable[[int], str]) -> int:
    """How many looks until the node or the channel is given up; 0 is never."""
    return next((second for second in range(1, 200) if look(second)), 0)


def test_a_node_that_says_nothing_is_given_up_and_one_that_says_anything_is_not() -> None:
    silent, talking = Silence(1), Silence(1)
    assert looks_until(lambda _: silent.look(7)) == SILENT_S + 1, "the first look only begins"
    assert looks_until(talking.look) == 0


@pytest.mark.parametrize(("has_others", "given_up"), [(True, UNCONFIRMED_S), (False, UNCONFIRMED_ALONE_S)])
def test_a_channel_that_confirms_nothing_is_given_up_while_something_waits(has_others: bool, given_up: float) -> None:
    stall = Stall(1, has_others=has_others)
    assert looks_until(lambda _: stall.look(waits=False)) == 0
    assert looks_until(lambda _: stall.look(waits=True)) == given_up


def test_a_channel_that_refuses_all_for_one_queue_is_given_up_whatever_it_confirms_for_others() -> None:
    # Given one queue that refuses and one that takes
    stall = Stall(0.5, has_others=True)

    def both(_: int) -> str:
        stall.refused("full")
        stall.confirmed("other")
        return stall.look(waits=False)

    assert looks_until(both) == 2 * REFUSED_S

    # But not while it takes some
    def some(second: int) -> str:
        (stall.refused if second % 2 else stall.confirmed)("full")
        return stall.look(waits=False)

    stall.begin()
    assert looks_until(some) == 0


def test_whoever_confirms_nothing_again_and_again_is_given_more_time_each_time() -> None:
    # Given an overloaded cluster
    stall = Stall(1, has_others=True)
    waited = []
    for _ in range(6):
        stall.begin()
        waited.append(looks_until(lambda _: stall.look(waits=True)))
    assert waited == [4, 4, 8, 16, 32, 60], "the second time it may be another node's fault"

    # When it confirms something, then the next time is short again
    stall.begin()
    stall.confirmed("queue")
    assert looks_until(lambda _: stall.look(waits=True)) == 4
    assert stall.is_first


def test_a_channel_is_given_up_for_the_first_time_only_once_until_something_is_taken() -> None:
    # Given one that refuses, then one that answers nothing
    stall = Stall(1, has_others=True)
    stall.refused("queue")
    assert stall.look(waits=False)
    assert stall.is_first
    stall.begin()
    assert looks_until(lambda _: stall.look(waits=True)) == UNCONFIRMED_S
    assert not stall.is_first

    # When one takes something
    stall.begin()
    stall.confirmed("queue")

    # Then the next is the first again
    stall.refused("queue")
    assert stall.look(waits=False)
    assert stall.is_first
