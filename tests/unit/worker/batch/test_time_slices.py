"""Batches render in turns, and between two slices the hub looks at its sockets."""

import gevent
import pytest
from gevent import socket
from hypothesis import given
from hypothesis import strategies as st

from notifier.worker.batch.time_slices import TimeSlices


@pytest.fixture
def slices() -> TimeSlices:
    """Every slice is over at once, so that each delivery ends one."""
    return TimeSlices(slice_s=0, urgent_slice_s=0)


def render(slices: TimeSlices, name: str, deliveries: int, order: list[str], *, urgent: bool = False) -> None:
    with slices.turn(urgent=urgent) as pause:
        for _ in range(deliveries):
            pause()
            order.append(name)


def test_batches_take_turns_slice_by_slice(slices: TimeSlices) -> None:
    # Given a large batch and a small one that comes after it
    order: list[str] = []
    both = [gevent.spawn(render, slices, name, count, order) for name, count in (("large", 6), ("small", 2))]

    # When they render
    gevent.joinall(both, raise_error=True)

    # Then the small one does not wait for the large one's end
    assert order.index("small") < 3
    assert order[-1] == "large"


def test_a_high_batch_waits_for_no_turn(slices: TimeSlices) -> None:
    # Given a batch that has its turn and keeps it
    held = gevent.event.Event()

    def hold() -> None:
        with slices.turn(urgent=False):
            held.wait()

    holding = gevent.spawn(hold)
    gevent.sleep(0)

    # When a high one renders, then it ends while the other still has its turn
    order: list[str] = []
    render(slices, "high", 3, order, urgent=True)
    assert order == ["high"] * 3
    held.set()
    holding.get()


def test_sockets_are_looked_at_while_five_batches_render(slices: TimeSlices) -> None:
    # Given five batches that render, which gevent.sleep(0) would let finish first
    ours, theirs = socket.socketpair()
    order: list[str] = []
    with ours, theirs:
        reading = gevent.spawn(lambda: order.append(ours.recv(1).decode()))
        gevent.sleep(0)
        batches = [gevent.spawn(render, slices, ".", 50, order) for _ in range(5)]
        running: list[gevent.Greenlet[..., None]] = [reading, *batches]

        # When something arrives in the middle
        theirs.sendall(b"!")
        gevent.joinall(running, raise_error=True)

    # Then it is read after a few slices
    assert order.index("!") < 25


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=8))
def test_the_turn_is_never_lost_and_never_doubled(batches: list[tuple[int, bool]]) -> None:
    # Given batches of which some are killed, waiting or rendering
    slices, inside, order = TimeSlices(slice_s=0, urgent_slice_s=0), list[int](), list[str]()

    def run(deliveries: int) -> None:
        with slices.turn(urgent=False) as pause:
            for _ in range(deliveries):
                inside.append(1)
                assert len(inside) == 1
                inside.pop()
                pause()

    greenlets = [gevent.spawn(run, deliveries) for deliveries, _ in batches]
    gevent.sleep(0)
    for greenlet, (_, is_killed) in zip(greenlets, batches, strict=True):
        if is_killed:
            greenlet.kill()

    # When the others have ended, then the turn is free again
    gevent.joinall([g for g, (_, killed) in zip(greenlets, batches, strict=True) if not killed], raise_error=True)
    render(slices, "next", 1, order)
    assert order == ["next"]
