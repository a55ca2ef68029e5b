"""`Coalescer`: small batches of one queue that come while others are under way run as one.

An event that comes alone makes a task of one delivery, and what a task costs whatever it carries (a claim, a hop into
the engine, a receipt) is four times what its delivery does. So it is as in Nagle's algorithm (RFC 896) and in a
database's group commit: the first one of a queue goes at once; who comes while it is under way waits until it has
ended, for `COMPANY_S` at most, and goes together with all who wait by then. Each task still ends by itself.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from functools import partial

from gevent.event import Event as Signal

from notifier import metrics
from notifier.domain.batch import MAX_BYTES, MAX_DELIVERIES
from notifier.domain.waiting import RawBatch, join
from notifier.errors import Inseparable, InvalidBatch
from notifier.worker.admission import LEAST, Admission, Turn
from notifier.worker.celery_side.lazy_batch import LazyBatch

#: Seconds a small batch waits for those before it: long enough for the relay next door to answer, and nothing beside
#: what a distant one takes.
COMPANY_S = 0.01

Run = Callable[[RawBatch, Turn], None]


class _Member:
    """A small batch whose task waits for company."""

    __slots__ = ("called", "error", "leads", "wire")

    def __init__(self, wire: LazyBatch) -> None:
        self.wire = wire
        self.called = Signal()
        self.leads = False
        self.error: BaseException | None = None

    def lead(self) -> None:
        """It is the first of those that go now."""
        self.leads = True
        self.called.set()

    def end(self, error: BaseException | None) -> None:
        """Who took it along has ended, with this error."""
        self.error = error
        self.called.set()


class _Line:
    """The small batches of one queue."""

    __slots__ = ("_patience", "_waiting", "under_way")

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self.under_way = 0
        """Groups that have gone and not ended."""
        self._waiting = deque[_Member]()

    def wait(self, member: _Member) -> None:
        """Until it leads, or whoever has taken it along has ended."""
        self._waiting.append(member)
        try:
            # All behind the first go with it, or are called when they are too many.
            patience = self._patience if len(self._waiting) == 1 else None
            if not member.called.wait(patience) and member is self._head:
                self._call()
            member.called.wait()
        except BaseException:
            self._give_up(member)
            raise

    def take_along(self, leader: _Member) -> list[_Member]:
        """The leader and all who wait, as far as they fit into one batch; of the others the first goes at once."""
        self.under_way += 1
        group = [leader]
        deliveries, size = leader.wire.deliveries, leader.wire.size
        while (head := self._head) is not None:
            deliveries, size = deliveries + head.wire.deliveries, size + head.wire.size
            if deliveries > MAX_DELIVERIES or size > MAX_BYTES:
                self._call()
                break
            group.append(self._waiting.popleft())
        return group

    def ended(self) -> None:
        """A group has; who waits goes."""
        self.under_way -= 1
        self._call()

    @property
    def _head(self) -> _Member | None:
        return self._waiting[0] if self._waiting else None

    def _call(self) -> None:
        if self._waiting:
            self._waiting.popleft().lead()

    def _give_up(self, member: _Member) -> None:
        """Its greenlet was ended from outside; others wait for it if it was to lead, or was the first."""
        if member in self._waiting:
            self._waiting.remove(member)
        self._call()


class Coalescer:
    """One per worker process; used on its hub's thread only."""

    def __init__(self, admission: Admission, patience: float = COMPANY_S) -> None:
        self._admission = admission
        self._lines = defaultdict[str, _Line](partial(_Line, patience))

    def run(self, run: Run, wire: object) -> None:
        """Run a task's batch when its turn has come, with others or by itself; returns or raises when it has ended.

        Raises what ``run`` raises, `InvalidBatch`, `WorkerStopping`, and `Inseparable`: it ran with others, one of them
        cannot be read, and each is to run by itself.
        """
        if not isinstance(wire, LazyBatch):
            batch = RawBatch.read(wire)
            with self._admission.turn(batch.queue, batch.size) as turn:
                run(batch, turn)
        elif wire.joins:
            self._together(run, _Member(wire))
        else:
            self._run(run, [wire])

    def _together(self, run: Run, member: _Member) -> None:
        line = self._lines[member.wire.queue]
        if line.under_way:
            line.wait(member)
        else:
            member.lead()
        if member.leads:
            self._lead(run, line, member)
        elif member.error is not None:
            raise member.error

    def _lead(self, run: Run, line: _Line, leader: _Member) -> None:
        group = line.take_along(leader)
        error: BaseException | None = None
        try:
            self._run(run, [one.wire for one in group])
        except BaseException as caught:
            error = caught
            raise
        finally:
            for one in group[1:]:
                one.end(error)
            line.ended()

    def _run(self, run: Run, wires: Sequence[LazyBatch]) -> None:
        with self._admission.turn(wires[0].queue, sum(wire.deliveries for wire in wires)) as turn:
            try:
                batch = join([RawBatch.read(wire.read()) for wire in wires])
                # Not read yet, it may have looked larger than it is.
                turn.narrow(max(LEAST, batch.size))
                metrics.TASKS_TOGETHER.observe(len(wires))
                run(batch, turn)
            except InvalidBatch as error:
                if len(wires) == 1:
                    raise
                raise Inseparable("ran with others of which one cannot be read; to run by itself") from error
