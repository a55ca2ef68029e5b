"""Where deliveries wait whose endpoint is not sent to: delayed in the broker, and for long in ``held-webhook``.

Either way they are *held* in the ledger with the reason, and no try is spent.
A fan-out meets many endpoints that wait, batch after batch. So what waits is gathered from all running batches for a
moment and travels in as few messages as possible: a message each costs more than sending to a healthy endpoint does.
"""

from __future__ import annotations

import heapq
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

import gevent
from gevent.event import AsyncResult
from gevent.event import Event as Signal

from notifier import metrics
from notifier.broker.publisher import Publishes
from notifier.domain import topology
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, EndpointRef, Status
from notifier.domain.encoding import EncodedBatch
from notifier.domain.endpoint import Endpoint
from notifier.domain.identity import Identity
from notifier.domain.json_text import read_written
from notifier.domain.look_again import NotNow
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, told
from notifier.domain.rule import Channel, Priority
from notifier.domain.waiting import Waiting, together
from notifier.logs import get, wide
from notifier.storage.held import HeldDelivery, HeldIndex, kind_of
from notifier.storage.ledger import Ledger
from notifier.storage.records import masked
from notifier.worker.batch.recorder import now
from notifier.worker.outage import retry_while_down
from notifier.worker.policy import Blocked

_log = get("endpoint")

#: Seconds what waits is gathered; about as long as the rest of its batch is under way. With 0.6, batches that have ill
#: endpoints use up what the broker hands over ahead, and are then acknowledged all at once: two thirds of the
#: throughput, at three times the broker's CPU. With 0.07 as much throughput as with this.
GATHER_S = 0.15
#: What has not ended; who sends it while it is held will say what became of it.
_STILL_WAITS = (Status.HELD, Status.SENDING)


#: Returns when what cannot be sent is put away, and gives what had ended.
Wait = Callable[[], list[tuple[Waiting, Status]]]


class _Delaying:
    """What of a batch is on its way to where it waits."""

    def __init__(self, priority: Priority, shard: int, blocked: Sequence[tuple[Waiting, Blocked]], told: bool) -> None:
        self.priority = priority
        self.shard = shard
        self.blocked = blocked
        self.told = told
        """Whether the ledger is to say that it is held."""
        self.ended: list[tuple[Waiting, Status]] = []
        """What had ended already, and is not put anywhere."""
        self.done: AsyncResult[bool] = AsyncResult()

    def wait(self) -> list[tuple[Waiting, Status]]:
        """Returns what had ended when the ledger says that the rest is held, and the broker has it."""
        if self.blocked:
            self.done.get()
        return self.ended


class DelayBuffer:
    """Puts deliveries where they wait; one greenlet gathers for all batches of the process."""

    def __init__(self, ledger: Ledger, index: HeldIndex, publisher: Publishes, *, most: int = 100_000) -> None:
        """``most`` deliveries are put aside for one endpoint, about."""
        self._ledger = ledger
        self._index = index
        self._publisher = publisher
        self._most = most
        self._waiting: list[_Delaying] = []
        self._wanted = Signal()
        self._away: list[tuple[float, int]] = []
        """When how many come back; a heap."""
        self._away_count = 0
        self._stopping = False
        self._greenlet = gevent.spawn(self._run)

    def put(self, priority: Priority, shard: int, blocked: Sequence[tuple[Waiting, Blocked]]) -> Wait:
        """Begin to put away what a batch of this queue cannot send."""
        return self._gather(_Delaying(priority, shard, blocked, told=True)).wait

    def send_later(self, priority: Priority, shard: int, waiting: Sequence[Waiting], seconds: float) -> None:
        """Returns when the broker has them, delayed by about so long and not less; the ledger is not told."""
        why = Blocked("", NotNow.LEFT_BEHIND, seconds)
        self._gather(_Delaying(priority, shard, [(one, why) for one in waiting], told=False)).wait()

    def _gather(self, delaying: _Delaying) -> _Delaying:
        if delaying.blocked:
            self._waiting.append(delaying)
            self._wanted.set()
        return delaying

    def stop(self) -> None:
        """Put what is waiting, then end."""
        self._stopping = True
        self._wanted.set()
        self._greenlet.join()

    def _run(self) -> None:
        while not self._stopping:
            self._wanted.wait()
            self._wanted.clear()
            if not self._stopping:
                gevent.sleep(GATHER_S)
            group, self._waiting = self._waiting, []
            try:
                self._tell(group)
                self._publish(group)
            except Exception as error:
                for one in group:
                    one.done.set_exception(error)  # each batch goes back to the broker, with what it wanted to put away
            else:
                for one in group:
                    one.done.set(True)

    def _tell(self, group: Sequence[_Delaying]) -> None:
        """Write that they are held, in one round trip; what turns out to have ended is taken out."""
        told = [one for one in group if one.told]
        waiting = [(delivery, why.reason) for one in told for delivery, why in one.blocked]
        if not waiting:
            return
        found = retry_while_down(lambda: self._ledger.hold(waiting), "record held deliveries")
        ended = 0
        for one in told:
            mine, found = found[: len(one.blocked)], found[len(one.blocked) :]
            if all(status in _STILL_WAITS for status in mine):
                continue
            pairs = list(zip(one.blocked, mine, strict=True))
            one.blocked = [blocked for blocked, status in pairs if status in _STILL_WAITS]
            one.ended = [(delivery, status) for (delivery, _), status in pairs if status not in _STILL_WAITS]
            ended += len(one.ended)
        metrics.DELIVERIES.labels(Channel.WEBHOOK, Status.HELD).inc(len(waiting) - ended)

    def _publish(self, group: Sequence[_Delaying]) -> None:
        places: dict[tuple[int, Priority, int], list[Waiting]] = defaultdict(list)
        spread, away = random.uniform(-1, 1), self._count_away()  # noqa: S311 - jitter, not a secret
        for one in group:
            for delivery, why in one.blocked:
                places[why.look_again(away, spread), one.priority, one.shard].append(delivery)
        for (seconds, priority, shard), waiting in sorted(places.items(), key=lambda place: place[0]):
            if seconds:
                heapq.heappush(self._away, (now() + seconds, len(waiting)))
                self._away_count += len(waiting)
            for batch in together(waiting, Channel.WEBHOOK, priority, shard):
                if seconds:
                    send = partial(self._publisher.send, batch, after=seconds)
                    retry_while_down(send, "queue held deliveries")
                elif (kept := self._within_bounds(_decoded(batch))) is not None:
                    self._put_aside(kept)

    def _count_away(self) -> int:
        """How many are delayed now; what is put aside comes back only when it is resumed."""
        moment = now()
        while self._away and self._away[0][0] <= moment:
            self._away_count -= heapq.heappop(self._away)[1]
        return self._away_count

    def _within_bounds(self, batch: Batch) -> Batch | None:
        """What there is room for. The rest ends, and is told: nobody may mend an endpoint for months."""
        held = retry_while_down(
            lambda: self._index.counts(sorted({_endpoint(one) for one in batch.deliveries})), "count held"
        )
        full = {endpoint for endpoint, count in held.items() if count >= self._most}
        if not full:
            return batch
        over = [one for one in batch.deliveries if _endpoint(one) in full]
        why = Endpoint.beyond_because(self._most)
        retry_while_down(
            lambda: self._ledger.skip([one.id for one in over], why), "record deliveries that are not held"
        )
        metrics.HELD_BEYOND.labels(topology.HELD_QUEUE).inc(len(over))
        metrics.DELIVERIES.labels(Channel.WEBHOOK, Status.SKIPPED).inc(len(over))
        ids = [one.id for one in over]
        wide(
            _log, "endpoint.held_beyond", level=logging.WARNING, endpoints=sorted(full), deliveries=ids, most=self._most
        )
        kept = [one for one in batch.deliveries if _endpoint(one) not in full]
        return batch.narrowed(kept) if kept else None

    def _put_aside(self, batch: Batch) -> None:
        """Each endpoint's on its shelf: whoever resumes it walks over that one only."""
        shelves: dict[str, list[Delivery]] = defaultdict(list)
        for one in batch.deliveries:
            shelves[topology.held_shelf(_endpoint(one))].append(one)
        moment = now()
        for shelf, deliveries in shelves.items():
            part = batch.narrowed(deliveries)
            parked = ParkedBatch(part, tuple(_entry(part, delivery, shelf, moment) for delivery in part.deliveries))
            retry_while_down(lambda s=shelf, p=parked: self._publisher.park(s, p), "put deliveries aside")  # type: ignore[misc]
        held = [
            # What was planned within one millisecond is in the order of its batch; `latest` depends on it.
            HeldDelivery(d.to.endpoint, d.id, kind_of(batch.events[d.event]), round(d.queued, 3) + n * 1e-6)
            for n, d in enumerate(batch.deliveries)
            if isinstance(d.to, EndpointRef)
        ]
        retry_while_down(lambda: self._index.add(held), "index held deliveries")


def read_ended(
    ended: Sequence[tuple[Waiting, Status]], priority: Priority, shard: int
) -> list[tuple[Batch, list[tuple[Delivery, Status]]]]:
    """What had ended, in batches, each delivery with what became of it."""
    statuses = iter([status for _, status in ended])
    batches = together([waiting for waiting, _ in ended], Channel.WEBHOOK, priority, shard)
    return [(batch, [(delivery, next(statuses)) for delivery in batch.deliveries]) for batch in map(_decoded, batches)]


def _endpoint(delivery: Delivery) -> str:
    return delivery.to.endpoint if isinstance(delivery.to, EndpointRef) else ""


def _decoded(batch: EncodedBatch) -> Batch:
    return Batch.decode(read_written(batch.body))


def _entry(batch: Batch, delivery: Delivery, shelf: str, moment: float) -> Parked:
    event = batch.events[delivery.event]
    return Parked(
        id=delivery.id,
        queue=topology.HELD_QUEUE,
        cause=Cause.HELD,
        reason="",
        parked_at=moment,
        **told(Identity.of(event)),
        rule=delivery.rule,
        destination=masked(delivery.to),
        attempts=delivery.attempt,
        shelf=shelf,
    )
