"""Retries of all running batches, gathered for a moment: what comes back together travels together.

A relay that defers a backlog defers a few of each batch to each second. A message each would be a dozen for a batch of
fifty, and the broker gives back some thousand delayed messages a second whatever they carry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial

import gevent
from gevent.event import AsyncResult
from gevent.pool import Pool

from notifier.broker.publisher import Publishes
from notifier.domain.batch import MAX_DELIVERIES, Batch
from notifier.domain.delivery import Delivery
from notifier.domain.encoding import EncodedBatch
from notifier.domain.rule import Priority, WorkKind
from notifier.domain.waiting import Waiting, together
from notifier.errors import BrokerUnavailable
from notifier.worker.outage import retry_while_down

#: Seconds that retries are gathered. A batch with some ends that much later; those under way meanwhile fill tasks.
GATHER_S = 0.1
#: Messages of a group that wait for their confirms at the same time; the pool of connections has a few more.
PUBLISHED_AT_ONCE = 8

_Place = tuple[WorkKind, Priority, int, int]
"""Queue and delay: channel, priority, shard, seconds."""


class _Group:
    """What is gathered, and whether the broker has it."""

    def __init__(self) -> None:
        self.places: dict[_Place, list[Waiting]] = defaultdict(list)
        self.done: AsyncResult[bool] = AsyncResult()


class RetryBuffer:
    """One per worker process. Whichever batch comes first gathers for those that come meanwhile."""

    def __init__(self, publisher: Publishes) -> None:
        self._publisher = publisher
        self._group: _Group | None = None

    def send(self, batch: Batch, retries: Iterable[tuple[Delivery, int]]) -> None:
        """Returns when the broker has deliveries of a batch, each to come back after its seconds.

        A digest's mail needs all its events, and travels alone.
        """
        alone, gathered = list[tuple[Delivery, int]](), list[tuple[Delivery, int]]()
        for one in retries:
            (alone if one[0].digest else gathered).append(one)
        for delivery, seconds in alone:
            send = partial(self._publisher.send, batch.narrowed([delivery]), after=seconds)
            retry_while_down(send, "queue the retry of a digest")
        if gathered:
            self._gather(batch, gathered)

    def _gather(self, batch: Batch, retries: Iterable[tuple[Delivery, int]]) -> None:
        group, is_first = self._group, self._group is None
        if group is None:
            group = self._group = _Group()
        for delivery, seconds in retries:
            place = (batch.channel, batch.priority, batch.shard, seconds)
            group.places[place].append(Waiting.of(delivery, batch.events[delivery.event]))
        if is_first:
            self._lead(group)
        group.done.get()

    def _lead(self, group: _Group) -> None:
        try:
            try:
                gevent.sleep(GATHER_S)
            finally:
                self._group = None
            self._publish(group)
        except Exception as error:
            group.done.set_exception(error)
        except BaseException:
            # The others are not told to end: their batches go back to the broker.
            group.done.set_exception(BrokerUnavailable("the worker ended before retries were queued"))
            raise
        else:
            group.done.set(True)

    def _publish(self, group: _Group) -> None:
        """Several at a time: each waits for its confirm."""
        Pool(PUBLISHED_AT_ONCE).map(
            self._publish_one,
            [
                (batch, seconds)
                for (channel, priority, shard, seconds), waiting in group.places.items()
                for batch in together(waiting, channel, priority, shard, most=MAX_DELIVERIES)
            ],
        )

    def _publish_one(self, one: tuple[EncodedBatch, int]) -> None:
        batch, seconds = one
        retry_while_down(partial(self._publisher.send, batch, after=seconds), "queue retries")
