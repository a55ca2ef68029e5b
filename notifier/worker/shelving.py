"""Where deliveries wait whose endpoint is not sent to: delayed in the broker, and for long in ``held-webhook``.

Either way they are *held* in the ledger with the reason, and no try is spent.
A fan-out meets many endpoints that wait, batch after batch. So what waits is gathered from all running batches for a
moment and travels in as few messages as possible: a message each costs more than sending to a healthy endpoint does.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import gevent
from gevent.event import AsyncResult
from gevent.event import Event as Signal

from notifier import metrics
from notifier.domain import topology
from notifier.domain.batch import MAX_BYTES, MAX_WAITING, Batch
from notifier.domain.delivery import Delivery, EndpointRef, Status
from notifier.domain.event import Event
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch
from notifier.domain.rule import Channel, Priority
from notifier.storage.claims import claim_request
from notifier.storage.held import HeldDelivery, HeldIndex, kind_of
from notifier.storage.ledger import Ledger
from notifier.storage.records import masked
from notifier.worker.following import Publishes
from notifier.worker.gating import Blocked
from notifier.worker.holding import hold
from notifier.worker.recorder import now

#: Seconds what waits is gathered; about as long as the rest of its batch is under way. Longer, and batches that have
#: ill endpoints use up what the broker hands over ahead.
GATHER_S = 0.15
#: Delays in whole seconds. Few, so that what waits for different times travels together; and powers of two, because
#: a native delay passes one queue of the broker for each bit that is set.
DELAYS_S = (1, 2, 4, 8, 16, 32, 64)
#: Held deliveries of this worker that look again in a second, at the most, however many wait: a look reads, looks up
#: and publishes, and thousands of them would cost the healthy endpoints more than the ill ones do.
LOOKS_PER_S = 50.0
#: Rough bytes of one delivery on the wire, beside its event.
_DELIVERY_BYTES = 200


@dataclass(frozen=True, slots=True)
class Shelved:
    """One delivery that waits, with what its message needs."""

    delivery: Delivery
    event: Event
    priority: Priority
    shard: int
    blocked: Blocked


@dataclass(frozen=True, slots=True)
class Shelving:
    """What of a batch is on its way to the broker."""

    ended: list[tuple[Delivery, Status]]
    """What had ended already, and is not put anywhere."""
    done: AsyncResult[bool] | None = None

    def wait(self) -> list[tuple[Delivery, Status]]:
        """Returns what had ended when the broker has confirmed the rest."""
        if self.done is not None:
            self.done.get()
        return self.ended


class Shelf:
    """Puts deliveries where they wait; one greenlet gathers for all batches of the process."""

    def __init__(self, ledger: Ledger, index: HeldIndex, publisher: Publishes) -> None:
        self._ledger = ledger
        self._index = index
        self._publisher = publisher
        self._waiting: list[tuple[list[Shelved], AsyncResult[bool]]] = []
        self._wanted = Signal()
        self._away: list[tuple[float, int]] = []
        """When how many come back; a heap."""
        self._away_count = 0
        self._stopping = False
        self._greenlet = gevent.spawn(self._run)

    def put(self, batch: Batch, blocked: Sequence[tuple[Delivery, Blocked]]) -> Shelving:
        """Returns when the ledger says that they are held, and before the broker has them: `Shelving.wait`."""
        if not blocked:
            return Shelving([])
        requests = [claim_request(batch, delivery) for delivery, _ in blocked]
        reasons = [why.reason for _, why in blocked]
        found = hold(lambda: self._ledger.hold(requests, reasons), "record held deliveries")
        kept: list[Shelved] = []
        ended: list[tuple[Delivery, Status]] = []
        for (delivery, why), status in zip(blocked, found, strict=True):
            if status in (Status.HELD, Status.SENDING):
                kept.append(_shelved(batch, delivery, why))
            else:
                ended.append((delivery, status))
        metrics.DELIVERIES.labels(batch.channel, Status.HELD).inc(len(kept))
        return Shelving(ended, self._gather(kept))

    def send_later(self, batch: Batch, deliveries: Sequence[Delivery], seconds: float) -> None:
        """Returns when the broker has them, delayed by about so long and not less; the ledger is not told."""
        why = Blocked("", seconds, exact=True)
        if gathered := self._gather([_shelved(batch, delivery, why) for delivery in deliveries]):
            gathered.get()

    def _gather(self, shelved: list[Shelved]) -> AsyncResult[bool] | None:
        if not shelved:
            return None
        done: AsyncResult[bool] = AsyncResult()
        self._waiting.append((shelved, done))
        self._wanted.set()
        return done

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
                self._publish([one for shelved, _ in group for one in shelved])
            except Exception as error:
                for _, done in group:
                    done.set_exception(error)  # each batch goes back to the broker, with what it wanted to put away
            else:
                for _, done in group:
                    done.set(True)

    def _publish(self, shelved: Sequence[Shelved]) -> None:
        places: dict[tuple[int, Priority, int], list[Shelved]] = defaultdict(list)
        spread = random.uniform(1.0, 1.25)  # noqa: S311 - jitter, not a secret
        for one in shelved:
            places[self._delay(one.blocked, spread), one.priority, one.shard].append(one)
        for (seconds, priority, shard), group in sorted(places.items()):
            if seconds:
                heapq.heappush(self._away, (now() + seconds, len(group)))
                self._away_count += len(group)
            for batch in together(group, priority, shard):
                if seconds:
                    hold(lambda b=batch, s=seconds: self._publisher.send(b, after=s), "queue held deliveries")  # type: ignore[misc]
                else:
                    self._put_aside(batch)

    def _delay(self, blocked: Blocked, spread: float) -> int:
        """In whole seconds; 0 is aside."""
        if blocked.exact:
            return math.ceil(blocked.seconds)
        return 0 if blocked.aside else delay(max(blocked.seconds * spread, self._fair_wait()))

    def _fair_wait(self) -> float:
        """The more are away, the longer each stays."""
        moment = now()
        while self._away and self._away[0][0] <= moment:
            self._away_count -= heapq.heappop(self._away)[1]
        return self._away_count / LOOKS_PER_S

    def _put_aside(self, batch: Batch) -> None:
        moment = now()
        entries = tuple(_entry(batch, delivery, moment) for delivery in batch.deliveries)
        hold(lambda: self._publisher.park(topology.HELD_QUEUE, ParkedBatch(batch, entries)), "put deliveries aside")
        held = [
            # What was planned within one millisecond is in the order of its batch; `latest` depends on it.
            HeldDelivery(d.to.endpoint, d.id, kind_of(batch.events[d.event]), round(d.queued, 3) + n * 1e-6)
            for n, d in enumerate(batch.deliveries)
            if isinstance(d.to, EndpointRef)
        ]
        hold(lambda: self._index.add(held), "index held deliveries")


def delay(seconds: float) -> int:
    """The delay at which deliveries with about this wait travel together: the next one of `DELAYS_S`."""
    return next((one for one in DELAYS_S if one >= seconds), DELAYS_S[-1])


def _shelved(batch: Batch, delivery: Delivery, why: Blocked) -> Shelved:
    return Shelved(delivery, batch.events[delivery.event], batch.priority, batch.shard, why)


def together(shelved: Iterable[Shelved], priority: Priority, shard: int) -> list[Batch]:
    """As few batches as deliveries and bytes allow, each event once, for one queue."""
    batches: list[Batch] = []
    events: list[Event] = []
    deliveries: list[Delivery] = []
    places: dict[str, int] = {}
    size = 0

    def close() -> None:
        batches.append(
            Batch.model_construct(
                channel=Channel.WEBHOOK,
                priority=priority,
                shard=shard,
                events=list(events),
                deliveries=list(deliveries),
            )
        )

    for one in shelved:
        more = _DELIVERY_BYTES + (0 if one.event.key in places else len(one.event.encoded))
        if deliveries and (len(deliveries) >= MAX_WAITING or size + more > MAX_BYTES):
            close()
            events.clear()
            deliveries.clear()
            places.clear()
            size, more = 0, _DELIVERY_BYTES + len(one.event.encoded)
        place = places.setdefault(one.event.key, len(events))
        if place == len(events):
            events.append(one.event)
        size += more
        deliveries.append(one.delivery.model_copy(update={"event": place}))
    if deliveries:
        close()
    return batches


def _entry(batch: Batch, delivery: Delivery, moment: float) -> Parked:
    event = batch.events[delivery.event]
    return Parked(
        id=delivery.id,
        queue=topology.HELD_QUEUE,
        cause=Cause.HELD,
        reason="",
        parked_at=moment,
        event=event.key,
        event_type=event.type,
        tenant=event.tenant,
        rule=delivery.rule,
        destination=masked(delivery.to),
        attempts=delivery.attempt,
    )
