"""Acknowledgements settle what is done and nothing else, in few frames."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.acknowledging import Acknowledgements


def settled_by(frames: list[tuple[int, bool]], unacknowledged: set[int]) -> set[int]:
    """What a broker takes these frames to mean."""
    done: set[int] = set()
    for tag, multiple in frames:
        done |= {other for other in unacknowledged if other == tag or (multiple and other <= tag)}
    return done


def test_groups_that_end_in_order_cost_one_frame_each() -> None:
    pending = Acknowledgements()
    for tag in range(1, 201):
        pending.add(tag)
    assert list(pending.settle(range(1, 101))) == [(100, True)]
    assert list(pending.settle(range(101, 201))) == [(200, True)]
    assert len(pending) == 0


def test_a_slow_message_holds_back_nobody_else() -> None:
    pending = Acknowledgements()
    for tag in (1, 2, 3, 4):
        pending.add(tag)
    assert list(pending.settle([1, 3, 4])) == [(1, True), (3, False), (4, False)]
    assert list(pending.settle([2])) == [(2, True)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_exactly_the_groups_that_ended_are_acknowledged(owners: list[int], random: object) -> None:
    # Given messages that belong to groups which end in any order
    pending = Acknowledgements()
    groups: dict[int, list[int]] = {}
    for tag, owner in enumerate(owners, start=1):
        pending.add(tag)
        groups.setdefault(owner, []).append(tag)
    order = sorted(groups)
    random.shuffle(order)  # type: ignore[attr-defined]
    unacknowledged = set(range(1, len(owners) + 1))

    # When each group is settled, then the broker forgets that group's messages and no other's
    for owner in order:
        done = settled_by(list(pending.settle(groups[owner])), unacknowledged)
        assert done == set(groups[owner])
        unacknowledged -= done
    assert len(pending) == 0
