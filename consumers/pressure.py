"""`Pressure`: which work queues are full. Low ones are full first, so that what must be quick has room longest.

`depth_monitor` looks how deep each one is; `Intake` asks which are full before it plans for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from logging import WARNING

from notifier import logs, metrics
from notifier.domain.rule import WORK_QUEUES, Priority

log = logs.get("intake")

#: Priority → how often NOTIFIER_QUEUE_DEPTH may wait: a mailing is put aside long before a password reset is.
SHARES = {Priority.LOW: 1, Priority.NORMAL: 2, Priority.HIGH: 4}
#: Looks until every queue was looked at, whoever uses it: what another consumer puts there is seen by then.
TURNS = 8
#: A full queue has room again below this part of its limit: without the gap it would fill and empty with every look.
RESUME_BELOW = 0.8


class Pressure:
    """Limits and what was last seen of them. ``depth`` is NOTIFIER_QUEUE_DEPTH; with 0 no queue is ever full."""

    def __init__(self, depth: int = 0) -> None:
        self.limits = {queue: depth * SHARES[priority_of(queue)] for queue in WORK_QUEUES} if depth else {}
        self.full: Mapping[str, int] = {}
        """Full queues with the tasks that wait in them."""
        self._used = set(self.limits)
        self._others = cycle(self.limits)

    def use(self, queue: str) -> None:
        """Tasks were made for a queue."""
        self._used.add(queue)

    def due(self) -> list[str]:
        """Which queues to look at now: those that were used since the last look, full ones, and some others in turn.

        At first all of them. Four fifths are shards, which nobody uses while no tenant floods.
        """
        others = {next(self._others) for _ in range(len(self.limits) // TURNS)}
        due = self._used | self.full.keys() | others
        self._used = set()
        return sorted(due & self.limits.keys())

    def see(self, depths: Mapping[str, int]) -> None:
        """Take note of how many tasks wait in some queues."""
        unseen = {queue: depth for queue, depth in self.full.items() if queue not in depths}
        full = unseen | {queue: depth for queue, depth in depths.items() if depth >= self._threshold(queue)}
        for queue in sorted(full.keys() ^ self.full.keys()):
            what = "intake.slowed" if queue in full else "intake.resumed"
            logs.wide(log, what, level=WARNING, queue=queue, waiting=depths[queue], limit=self.limits[queue])
        for queue, depth in depths.items():
            metrics.QUEUE_DEPTH.labels(queue).set(depth)
            metrics.QUEUE_FULL.labels(queue).set(queue in full)
        self.full = full

    def _threshold(self, queue: str) -> float:
        return self.limits[queue] * (RESUME_BELOW if queue in self.full else 1)


def priority_of(queue: str) -> Priority:
    """``email-low-shard2`` → low; the digest queues, whose items are only collected, count as normal."""
    return next((priority for priority in Priority if priority in queue.split("-")), Priority.NORMAL)
