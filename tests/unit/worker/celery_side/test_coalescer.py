"""Small batches of a queue that come while others are under way run as one, and each task ends by itself."""

import gevent
import pytest
from gevent import Greenlet
from gevent.event import Event as Signal
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.batch import MAX_BYTES, MAX_DELIVERIES, Batch
from notifier.domain.delivery import Delivery, DigestItems, Mailbox
from notifier.domain.encoding import encode_batch
from notifier.domain.event import Event
from notifier.domain.rule import Channel, Priority
from notifier.domain.waiting import RawBatch
from notifier.errors import Inseparable, InvalidBatch, StorageUnavailable, WorkerStopping
from notifier.worker.admission import Admission, Turn
from notifier.worker.celery_side.coalescer import Coalescer
from notifier.worker.celery_side.lazy_batch import LazyBatch, lazy_batch
from notifier.worker.celery_side.receiving import read_batch


def delivery(name: str, **more: object) -> Delivery:
    return Delivery(id=name, event=0, rule="a.b/mail", to=Mailbox(address="a@example.org"), **more)


def wire(
    *names: str,
    priority: Priority = Priority.NORMAL,
    data: object = None,
    digest: DigestItems | None = None,
    came_back: bool = False,
) -> LazyBatch:
    """What Celery hands to the task of a batch with these deliveries of one event."""
    event = Event(id=names[0], source="/t", type="a.b", data=data)
    to = Mailbox(address="a@example.org")
    deliveries = [Delivery(id=name, event=0, rule="a.b/mail", to=to, digest=digest) for name in names]
    batch = Batch(channel=Channel.EMAIL, priority=priority, events=[event], deliveries=deliveries)
    return lazy(batch, encode_batch(batch).body, came_back=came_back)


def unreadable(*, came_back: bool = False) -> LazyBatch:
    """What looks like a batch and is none."""
    event, to = Event(id="x", source="/t", type="a.b"), Mailbox(address="a@example.org")
    delivery = Delivery(id="bad", event=0, rule="a.b/mail", to=to)
    batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[event], deliveries=[delivery])
    return lazy(batch, encode_batch(batch).body.replace(b"a@example.org", b""), came_back=came_back)


def lazy(batch: Batch, body: bytes, *, came_back: bool) -> LazyBatch:
    header = f"{batch.queue} {len(batch.deliveries)}"
    shaped = lazy_batch(header, b"[[%b],{},{}]" % body, read_batch, came_back=came_back)
    assert shaped is not None
    argument = shaped[0][0]
    assert isinstance(argument, LazyBatch)
    return argument


class Worker:
    """Runs what it is given until it is told to end it; knows what ran together, in order."""

    def __init__(self, patience: float = 600.0) -> None:
        """``patience``: seconds a batch waits for those under way; so long that a slow machine changes nothing."""
        self.admission = Admission(1000)
        self.coalescer = Coalescer(self.admission, patience)
        self.ran: list[list[str]] = []
        self.ends: list[Signal] = []
        self.error: BaseException | None = None

    def task(self, *names: str, **more: object) -> Greenlet:
        return self.offer(wire(*names, **more))  # type: ignore[arg-type]

    def offer(self, argument: LazyBatch) -> Greenlet:
        """Celery starts a task; its greenlet ends with what the task raised, or with None."""
        task = gevent.spawn(self._outcome, argument)
        gevent.idle()
        return task

    def end(self, number: int = 0) -> None:
        """One of those under way ends."""
        self.ends.pop(number).set()
        gevent.idle()

    def _outcome(self, argument: LazyBatch) -> BaseException | None:
        try:
            self.coalescer.run(self._run, argument)
        except Exception as error:
            return error
        return None

    def _run(self, raw: RawBatch, _: Turn) -> None:
        batch = raw.decode()
        assert {one.event for one in batch.deliveries} <= set(range(len(batch.events)))
        self.ran.append([one.id for one in batch.deliveries])
        ended = Signal()
        self.ends.append(ended)
        ended.wait()
        if self.error is not None:
            raise self.error


def test_a_batch_that_comes_alone_runs_at_once() -> None:
    worker = Worker()
    task = worker.task("a")
    assert worker.ran == [["a"]]

    worker.end()
    assert task.get(timeout=5) is None


def test_those_that_come_meanwhile_run_as_one_and_each_task_ends() -> None:
    # Given a small batch under way, and three that come
    worker = Worker()
    worker.task("a")
    tasks = [worker.task("b"), worker.task("c", "d"), worker.task("e")]

    # When it ends
    worker.end()

    # Then they go as one, each delivery with its own event
    assert worker.ran == [["a"], ["b", "c", "d", "e"]]
    assert not any(task.ready() for task in tasks)

    # And all of them end with it
    worker.end()
    assert [task.get(timeout=5) for task in tasks] == [None, None, None]


def test_nobody_waits_for_long_for_what_is_slow() -> None:
    # Given a batch under way that does not end, when others come, then they go too
    worker = Worker(patience=0.05)
    worker.task("a")
    worker.task("b")
    worker.task("c")
    with gevent.Timeout(5):
        while sum(map(len, worker.ran)) < 3:
            gevent.sleep(0.001)

    assert [name for ran in worker.ran for name in ran] == ["a", "b", "c"]


def test_a_batch_that_is_large_waits_for_nobody() -> None:
    worker = Worker()
    worker.task("a")
    large = [f"b{number}" for number in range(MAX_DELIVERIES)]
    worker.task(*large)

    assert worker.ran == [["a"], large]


def test_more_than_fit_into_one_go_in_two_at_once() -> None:
    # Given more that wait than a batch holds
    worker = Worker()
    worker.task("a")
    for number in range(MAX_DELIVERIES + 5):
        gevent.spawn(worker.task, f"b{number}")
    gevent.idle()

    # When the one under way ends, then a full batch goes, and the rest with it
    worker.end()
    assert [len(ran) for ran in worker.ran] == [1, MAX_DELIVERIES, 5]


def test_no_more_bytes_run_as_one_than_a_batch_may_have() -> None:
    # Given batches of a third of what fits
    worker = Worker()
    worker.task("a")
    for name in "bcde":
        gevent.spawn(worker.task, name, data="x" * (MAX_BYTES // 3))
    gevent.idle()

    worker.end()
    assert worker.ran == [["a"], ["b", "c"], ["d", "e"]]


def test_queues_do_not_wait_for_each_other() -> None:
    worker = Worker()
    worker.task("a")
    worker.task("b", priority=Priority.HIGH)
    worker.task("c", priority=Priority.LOW)

    assert worker.ran == [["a"], ["b"], ["c"]]


def test_what_is_handed_back_is_handed_back_by_every_task() -> None:
    # Given three that run as one while the first waits
    worker = Worker()
    worker.task("a")
    tasks = [worker.task(name) for name in "bcd"]
    worker.end()

    # When Redis is away for them
    worker.error = StorageUnavailable("x")
    worker.end()

    # Then each of them says so
    assert [type(task.get(timeout=5)) for task in tasks] == [StorageUnavailable] * 3


def test_of_several_of_which_one_cannot_be_read_each_is_handed_back_to_run_by_itself() -> None:
    # Given two that wait, and one that looks like a batch and is none
    worker = Worker()
    worker.task("a")
    tasks = [worker.task("b"), worker.offer(unreadable())]

    # When they run as one
    worker.end()

    # Then both come back, and then run by themselves: only one fails
    assert [type(task.get(timeout=5)) for task in tasks] == [Inseparable, Inseparable]
    task, failed = worker.task("b", came_back=True), worker.offer(unreadable(came_back=True))
    assert worker.ran[-1] == ["b"]
    worker.end()
    assert task.get(timeout=5) is None
    assert isinstance(failed.get(timeout=5), InvalidBatch)


def test_what_came_back_runs_by_itself() -> None:
    # Given one under way, and another that spoiled a batch before
    worker = Worker()
    worker.task("a")

    # Then it neither waits nor takes others along
    worker.task("b", came_back=True)
    worker.task("c")
    assert worker.ran == [["a"], ["b"]]


def test_a_digests_mail_runs_by_itself() -> None:
    worker = Worker()
    worker.task("a")
    worker.task("b", digest=DigestItems(items=[0], total=1))

    assert worker.ran == [["a"], ["b"]]


def test_a_delivery_that_is_in_two_of_them_is_not_claimed_twice_at_once() -> None:
    worker = Worker()
    worker.task("a")
    tasks = [worker.task("b"), worker.task("b")]
    worker.end()

    assert [type(task.get(timeout=5)) for task in tasks] == [Inseparable, Inseparable]


def test_a_worker_that_stops_hands_back_who_waits() -> None:
    worker = Worker()
    worker.task("a")
    tasks = [worker.task(name) for name in "bc"]

    worker.admission.close()
    worker.end()

    assert [type(task.get(timeout=5)) for task in tasks] == [WorkerStopping] * 2
    assert worker.ran == [["a"]]


def test_a_killed_leader_lets_go_of_those_it_took_along() -> None:
    # Given a group under way
    worker = Worker()
    worker.task("a")
    leader, other = worker.task("b"), worker.task("c")
    worker.end()
    assert worker.ran == [["a"], ["b", "c"]]

    # When its leader is ended from outside
    leader.kill()

    # Then the other task ends as it did, and the next batch goes at once
    with pytest.raises(gevent.GreenletExit):
        raise other.get(timeout=5)
    worker.task("d")
    assert worker.ran[-1] == ["d"]


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("come"), st.integers(1, MAX_DELIVERIES // 2)),
            st.tuples(st.just("end"), st.integers(0, 5)),
            st.tuples(st.just("kill"), st.integers(0, 30)),
        ),
        max_size=40,
    )
)
def test_whatever_comes_ends_or_is_killed_everything_runs_once(steps: list[tuple[str, int]]) -> None:
    # Given batches that come, end and are killed in any order
    worker, tasks, killed = Worker(), list[Greenlet](), set[str]()
    for number, (step, value) in enumerate(steps):
        if step == "come":
            tasks.append(worker.task(*[f"{number}.{one}" for one in range(value)]))
        elif step == "end" and worker.ends:
            worker.end(value % len(worker.ends))
        elif step == "kill" and tasks:
            victim = tasks[value % len(tasks)]
            if not victim.ready():
                victim.kill()
                killed.add(str(value % len(tasks)))

    # When all that runs is ended
    with gevent.Timeout(10):
        while not all(task.ready() for task in tasks):
            while worker.ends:
                worker.end()
            gevent.sleep(0)

    # Then every one has run once, or its task says that it was handed back
    names = [name for ran in worker.ran for name in ran]
    assert len(set(names)) == len(names)
    missing = sum(1 for number, (step, _) in enumerate(steps) if step == "come" and f"{number}.0" not in names)
    assert missing <= len(killed)
