"""Who goes on in a worker: high batches always, the others within their share of what is left, nobody never."""

import math

import gevent
import pytest
from gevent.event import Event as Signal
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.rule import WORK_QUEUES
from notifier.errors import WorkerStopping
from notifier.worker.admission import PREPARED_AT_ONCE, Admission, Turn, handicap_of, is_shard, share_of
from notifier.worker.celery_side.prefetch import ahead_of

SHARED = [queue for queue in WORK_QUEUES if not math.isinf(share_of(queue))]


class Batches:
    """Batches that run until they are ended; knows which have begun, in order. They are ready to leave at once."""

    def __init__(self, deliveries: int, *, ready: bool = True) -> None:
        self.admission = Admission(deliveries)
        self._ready = ready
        self.begun: list[str] = []
        self.stopped: list[str] = []
        self._ends: dict[str, list[Signal]] = {}

    def offer(self, queue: str, count: int = 1, size: int = 50) -> None:
        """The broker hands over so many batches."""
        for _ in range(count):
            gevent.spawn(self._run, queue, size)
        gevent.idle()

    def end(self, queue: str) -> None:
        """One of its batches ends."""
        self._ends[queue].pop().set()
        gevent.idle()

    def running(self, queue: str) -> int:
        return len(self._ends.get(queue, ()))

    def _run(self, queue: str, size: int) -> None:
        try:
            with self.admission.turn(queue, size) as turn:
                self.begun.append(queue)
                if self._ready:
                    turn.prepared()
                ended = Signal()
                self._ends.setdefault(queue, []).append(ended)
                ended.wait()
        except WorkerStopping:
            self.stopped.append(queue)


def test_a_queue_alone_uses_its_share_and_leaves_room() -> None:
    # Given twenty-four full batches of each kind, each alone in a worker of 1,200 deliveries
    used = {}
    for queue in ("email-normal", "email-low", "email-normal-shard1", "email-low-shard1"):
        batches = Batches(1200)
        batches.offer(queue, 24)
        used[queue] = batches.running(queue)

    # Then normal ones use half of it, low ones a third, their shards a third and a fifth
    assert used == {"email-normal": 12, "email-low": 8, "email-normal-shard1": 8, "email-low-shard1": 5}


def test_small_batches_run_in_greater_number() -> None:
    batches = Batches(1200)
    batches.offer("webhook-normal", 100, size=1)
    assert batches.running("webhook-normal") == 60


def test_few_batches_are_prepared_at_once_however_many_may_be_under_way() -> None:
    # Given a worker with room for twelve batches of a queue, and many that are read and not ready to leave
    batches = Batches(1200, ready=False)
    batches.offer("email-normal", 24)

    # Then only some are begun, and of another queue the first
    few = PREPARED_AT_ONCE // 50
    assert batches.running("email-normal") == few
    batches.offer("email-low", 24)
    assert batches.begun == ["email-normal"] * few + ["email-low"]

    # When two of them end, then as many begin
    batches.end("email-normal")
    batches.end("email-low")
    assert len(batches.begun) == few + 3


def test_a_batch_that_is_ready_to_leave_lets_another_one_begin_and_counts_as_under_way() -> None:
    # Given as many batches as are prepared at once, and more that wait
    admission, begun, end = Admission(1200), list[Turn](), Signal()

    def run() -> None:
        with admission.turn("webhook-normal", 50) as turn:
            begun.append(turn)
            end.wait()

    running = [gevent.spawn(run) for _ in range(24)]
    gevent.idle()
    few = len(begun)

    # When one is ready, and says so twice
    begun[0].prepared()
    begun[0].prepared()
    gevent.idle()

    # Then one more begins; and when all are, no more are under way than the queue's share
    assert len(begun) == few + 1
    for turn in begun:
        turn.prepared()
        gevent.idle()
    assert len(begun) == 12
    end.set()
    gevent.joinall(running)


def test_high_batches_wait_for_nothing() -> None:
    # Given a worker full of everything else
    batches = Batches(1200)
    for queue in SHARED:
        batches.offer(queue, 24)

    # When as many high ones come as the broker hands over
    batches.offer("email-high", 24)

    # Then all of them run
    assert batches.running("email-high") == 24


def test_a_queue_that_had_nothing_under_way_begins_at_once_beside_any_flood() -> None:
    # Given a flood in six queues
    batches = Batches(1200)
    flooded = ["email-normal", "email-low", "webhook-normal", "webhook-low", "email-low-shard3", "webhook-low-shard1"]
    for queue in flooded:
        batches.offer(queue, 48)

    # When one batch of another queue comes, then it begins
    batches.offer("email-low-shard1")
    assert batches.begun[-1] == "email-low-shard1"


def test_room_goes_to_the_queue_that_has_least_under_way_for_its_share() -> None:
    # Given a flood of low, and then of normal, in a worker of four full batches
    batches = Batches(200)
    batches.offer("email-low", 5)
    batches.offer("email-normal", 5)
    assert batches.begun == ["email-low", "email-low", "email-normal"]

    # When a low one ends, then a normal one begins, and low ones keep what is theirs
    batches.end("email-low")
    assert batches.begun[3:] == ["email-normal"]
    assert batches.running("email-low") == 1

    # And everything has run when nothing waits any more
    for queue in ("email-normal", "email-low") * 5:
        if batches.running(queue):
            batches.end(queue)
    assert sorted(batches.begun) == ["email-low"] * 5 + ["email-normal"] * 5


def test_a_batch_gives_up_the_place_of_what_has_been_answered() -> None:
    # Given a queue with as many batches under way as it may have, and one that waits
    admission, begun = Admission(100), list[str]()
    with admission.turn("webhook-normal", 50) as first:

        def second() -> None:
            with admission.turn("webhook-normal", 50):
                begun.append("second")

        waiting = gevent.spawn(second)
        gevent.idle()
        assert begun == []

        # When most of a batch has an answer
        first.narrow(10)
        gevent.idle()

        # Then the other one begins, and the place is given up only once
        assert begun == ["second"]
        waiting.join()
    with admission.turn("webhook-normal", 50):
        third = gevent.spawn(second)
        gevent.idle()
        assert begun == ["second"]
    third.join()


def test_a_stopping_worker_hands_back_what_waits_and_finishes_what_runs() -> None:
    # Given some that run and some that wait
    batches = Batches(100)
    batches.offer("email-low", 5)
    running = batches.running("email-low")

    # When the worker stops
    batches.admission.close()
    gevent.idle()

    # Then those that wait are handed back, the others end in good order, and no other begins
    assert batches.stopped == ["email-low"] * (5 - running)
    batches.end("email-low")
    batches.offer("email-normal")
    assert batches.stopped[-1] == "email-normal"
    assert batches.begun == ["email-low"] * running


def test_a_batch_that_is_killed_while_it_waits_leaves_no_trace() -> None:
    # Given one that runs and one that waits
    admission, ended = Admission(10), Signal()

    def run() -> None:
        with admission.turn("email-low", 10):
            ended.wait()

    first, second = gevent.spawn(run), gevent.spawn(run)
    gevent.idle()

    # When the one that waits is killed and the other ends
    second.kill()
    ended.set()
    gevent.joinall([first, second])

    # Then the whole worker is free again
    third = Batches(10)
    third.admission = admission
    third.offer("email-low")
    assert third.begun == ["email-low"]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("offer"), st.sampled_from(SHARED), st.integers(1, 60)),
            st.tuples(st.just("end"), st.sampled_from(SHARED), st.just(0)),
        ),
        max_size=80,
    ),
    st.integers(1, 400),
    st.booleans(),
)
def test_everything_that_is_offered_runs_and_nothing_waits_while_the_worker_is_idle(
    steps: list[tuple[str, str, int]], deliveries: int, ready: bool
) -> None:
    # Given any order of batches that come and end
    batches, offered = Batches(deliveries, ready=ready), 0
    for step, queue, size in steps:
        if step == "offer":
            batches.offer(queue, 1, size)
            offered += 1
        elif batches.running(queue):
            batches.end(queue)

    # When all that run end, again and again
    while running := [queue for queue in SHARED if batches.running(queue)]:
        batches.end(running[0])

    # Then all have run
    assert len(batches.begun) == offered


@pytest.mark.parametrize("queue", WORK_QUEUES)
def test_what_is_more_urgent_is_let_past_and_shards_let_everybody_of_their_lane_past(queue: str) -> None:
    lane = queue.split("-shard", maxsplit=1)[0]
    assert 0 <= handicap_of(queue) <= 60
    assert is_shard(queue) == (handicap_of(queue) > handicap_of(lane))
    assert ahead_of(queue, 24) >= 2


def test_the_more_urgent_lane_has_the_smaller_handicap() -> None:
    assert handicap_of("email-high") < handicap_of("email-normal") < handicap_of("email-low")
