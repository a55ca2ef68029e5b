"""How many batches the broker hands a worker ahead, queue by queue, and a pool in which each has its greenlet at once.

With Celery's own numbers all queues share one line: the broker hands over one prefetch of each, and when the pool is
full the consumer itself stands still, with a high batch unread in its socket behind the low ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import kombu
from celery import bootsteps
from celery.worker.consumer.connection import Connection

from notifier.domain.rule import Priority
from notifier.worker.admission import is_shard

#: Batches handed over ahead, as a share of the concurrency. Twice as many of normal ones, because on a quiet day they
#: are of one, and receivers take their time. A shard's are mostly full, but of a fan-out to endpoints some of which are
#: ill, many have to wait: with a quarter, soon all that were handed over did (half of the throughput, measured).
_AHEAD = {Priority.NORMAL.value: 2.0}
_AHEAD_SHARD = 1.0
#: Greenlets beside those of batches: sweeps, and what Celery's remote control runs.
_SPARE = 8


def ahead_of(queue: str, concurrency: int) -> int:
    """The prefetch of a queue."""
    share = _AHEAD_SHARD if is_shard(queue) else next((n for word, n in _AHEAD.items() if word in queue), 1.0)
    return max(2, math.ceil(concurrency * share))


class _QueueConsumer(kombu.Consumer):
    """Gives each queue its own prefetch: the broker takes the last number it was told for the consumer that follows."""

    def __init__(self, *arguments: Any, ahead: Callable[[str], int], **options: Any) -> None:
        self._ahead = ahead
        super().__init__(*arguments, **options)

    def _basic_consume(self, queue: kombu.Queue, *arguments: Any, **options: Any) -> Any:
        channel: Any = self.channel
        # Of the consumer that follows, not of the channel: quorum queues know no other.
        channel.basic_qos(0, self._ahead(queue.name), False)
        return super()._basic_consume(queue, *arguments, **options)


class RoomForAll(bootsteps.StartStopStep):
    """Sets the prefetch of every queue and makes the pool larger than their sum."""

    requires = (Connection,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._concurrency: int = consumer.pool.limit
        self._grown = False

    def start(self, consumer: Any) -> None:
        """Before the queues are read."""
        if consumer.connection.transport.driver_type != "amqp":
            return
        ahead = partial(ahead_of, concurrency=self._concurrency)
        consumer.app.amqp.Consumer = partial(_QueueConsumer, ahead=ahead)
        if not self._grown:
            self._grown = True
            queues = consumer.app.amqp.queues.consume_from
            consumer.pool.grow(max(0, _SPARE + sum(map(ahead, queues)) - self._concurrency))
