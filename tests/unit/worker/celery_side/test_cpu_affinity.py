"""The threads of a busy process share one CPU; which one depends on what others use; an idle one is let go."""

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.worker.celery_side.cpu_affinity import (
    FULL,
    ROOM,
    SHARED,
    CpuAffinity,
    better_cpu,
    cpu_of,
    parse_stat,
    used_of_each,
)

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="only Linux lets a process choose its CPUs"
)

ALWAYS, NEVER = -1.0, float("inf")
#: Beyond what the kernel gives (`pid_max`, proc(5)).
ENDED = 2**22 + 1


@pytest.fixture
def cpus() -> set[int]:
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("there is one CPU only: nothing to choose")
    return allowed


@pytest.fixture
def threads() -> Iterator[tuple[int, int]]:
    """Two that live and do nothing."""
    over = threading.Event()
    both = [threading.Thread(target=over.wait) for _ in range(2)]
    for thread in both:
        thread.start()
    first, second = (thread.native_id or 0 for thread in both)
    yield first, second
    over.set()
    for thread in both:
        thread.join()


def where(threads: tuple[int, int]) -> list[set[int]]:
    return [os.sched_getaffinity(thread) for thread in threads]


def test_the_threads_of_a_busy_process_come_to_the_cpu_of_the_first(cpus: set[int], threads: tuple[int, int]) -> None:
    # Given a process that always counts as busy
    affinity = CpuAffinity(threads, busy=ALWAYS)

    # When it looks, then both threads are where the first one was
    affinity.look()
    assert where(threads) == [{cpu_of(threads[0])}] * 2


def test_an_idle_process_is_left_to_the_kernel(cpus: set[int], threads: tuple[int, int]) -> None:
    # Given a process that was busy and then never is
    affinity = CpuAffinity(threads, busy=ALWAYS)
    affinity.look()
    affinity.busy = NEVER

    # When it looks again, then its threads may run anywhere
    affinity.look()
    assert where(threads) == [cpus, cpus]


def test_a_thread_that_was_started_by_one_that_is_kept_is_let_go_with_it(cpus: set[int]) -> None:
    # Given a thread that starts another one while it is kept on one CPU, as a pool that grows under load does
    begin, begun, over = threading.Event(), threading.Event(), threading.Event()
    heir = threading.Thread(target=over.wait)

    def start_another() -> None:
        begin.wait()
        heir.start()
        begun.set()
        over.wait()

    first = threading.Thread(target=start_another)
    first.start()
    affinity = CpuAffinity([first.native_id or 0], busy=ALWAYS)
    affinity.look()
    begin.set()
    begun.wait()
    heirs = heir.native_id or 0
    assert len(os.sched_getaffinity(heirs)) == 1

    # When the process is idle
    affinity.busy = NEVER
    affinity.look()

    # Then both may run anywhere
    found = [os.sched_getaffinity(first.native_id or 0), os.sched_getaffinity(heirs)]
    over.set()
    for thread in (first, heir):
        thread.join()
    assert found == [cpus, cpus]


def test_a_process_moves_away_from_others(cpus: set[int], threads: tuple[int, int]) -> None:
    # Given a busy process that has its CPU, and then somebody else who uses all of every CPU but another one
    used = dict.fromkeys(cpus, 0.0)
    affinity = CpuAffinity(threads, busy=ALWAYS, used=lambda: dict(used))
    affinity.look()
    free = min(cpus - os.sched_getaffinity(threads[0]))

    # When it looks often, because it moves half of the time only
    for _ in range(100):
        used.update({cpu: used[cpu] + 1e6 for cpu in cpus - {free}})
        affinity.look()

    # Then it is on the free one, and stays
    assert where(threads) == [{free}] * 2


def test_whoever_sets_the_affinity_by_hand_has_the_last_word(cpus: set[int], threads: tuple[int, int]) -> None:
    # Given a busy process that has its CPU
    affinity = CpuAffinity(threads, busy=ALWAYS)
    affinity.look()

    # When somebody moves its threads to another CPU
    theirs = min(cpus - os.sched_getaffinity(threads[0]))
    for thread in threads:
        os.sched_setaffinity(thread, {theirs})

    # Then they stay there, busy or idle
    affinity.look()
    affinity.busy = NEVER
    affinity.look()
    assert where(threads) == [{theirs}] * 2


def test_what_cannot_be_kept_together_is_left_to_the_kernel(cpus: set[int], threads: tuple[int, int]) -> None:
    # Given a busy process one of whose threads has ended
    affinity = CpuAffinity((threads[0], ENDED, threads[1]), busy=ALWAYS)

    # When it looks, then the kernel says so in the middle of it
    with pytest.raises(ProcessLookupError):
        affinity.look()

    # And when it gives up, then the others may run anywhere
    affinity.give_up()
    assert where(threads) == [cpus, cpus]


def test_what_the_process_uses_itself_is_not_what_others_use() -> None:
    # Given a process that uses all of CPU 0, and others that use a fifth of CPU 1
    used, own = {0: 0.99, 1: 0.2}, 0.95

    # When a better one is asked for, then there is none
    assert better_cpu(used, own, 0, {0, 1}) is None


def test_a_cpu_that_another_process_wants_as_well_is_left_for_one_with_room() -> None:
    # Given two processes that halve CPU 0, as much used of CPU 1 by what goes where there is room, and CPU 2 not for us
    used, own = {0: 1.0, 1: 0.5, 2: 0.0}, 0.5

    # When a better one is asked for, then it is CPU 1
    assert better_cpu(used, own, 0, {0, 1}) == 1


def test_a_cpu_that_is_enough_for_all_on_it_is_kept() -> None:
    # Given others who use a third of CPU 0 beside us, and nobody on CPU 1
    used, own = {0: 0.85, 1: 0.0}, 0.5

    # When a better one is asked for, then there is none
    assert better_cpu(used, own, 0, {0, 1}) is None


@given(
    used=st.dictionaries(st.integers(0, 7), st.floats(0, 1), min_size=2),
    own=st.floats(0, 1),
    here=st.integers(0, 7),
    allowed=st.sets(st.integers(0, 9), min_size=1),
)
def test_nobody_moves_without_a_reason(used: dict[int, float], own: float, here: int, allowed: set[int]) -> None:
    # When a better one is asked for, whoever used what
    better = better_cpu(used, own, here, allowed)

    # Then a better CPU is allowed, another one, has room, and the one that is left is full of others too
    if better is not None:
        assert better in allowed
        assert better != here
        assert used[better] < 1 - ROOM
        assert used[here] > FULL
        assert used[here] - own > SHARED


def test_a_cpu_is_used_by_all_but_idling_and_waiting_for_disks() -> None:
    # Given a line of proc(5): user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice
    tick = os.sysconf("SC_CLK_TCK")
    text = f"cpu 9 9 9 9 9 9 9 9 0 0\ncpu3 {tick} {tick} {tick} 77 77 {tick} {tick} {tick} 5 5\nintr 1 2\n"

    # When it is read, then six of them count, by CPU, in seconds
    assert parse_stat(text) == {3: pytest.approx(6.0)}


def test_this_machine_says_what_is_used_of_every_cpu_we_may_use() -> None:
    assert used_of_each().keys() >= os.sched_getaffinity(0)
