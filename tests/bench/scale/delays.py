"""What a relay has deferred at once: how late the last of it is back in its queue."""

import random
import time
from pathlib import Path
from typing import Any, cast

import gevent.pool

from notifier.broker.publisher import TaskPublisher
from notifier.channels.port import Ready, Work
from notifier.domain.batch import MAX_DELIVERIES, Batch
from notifier.domain.delivery import Delivery, Mailbox, Status
from notifier.domain.event import Event
from notifier.domain.outcome import Deferred
from notifier.domain.retry import RetrySchedule, decide_retry
from notifier.domain.rule import Channel, Priority, Rule
from notifier.storage.claims import claim_request
from notifier.storage.ledger import Claimed
from notifier.worker.batch.follow_ups import FollowUps
from notifier.worker.batch.sender import Settled
from notifier.worker.decision import Decision
from tests.bench.scale.curve import Curve
from tests.bench.scale.site import Site, site
from tests.bench.waiting import until

#: Batches that a worker runs at once.
_AT_ONCE = 24
#: Longer than it takes to queue all of them.
_SCHEDULE = RetrySchedule((60.0,))
_RULE = Rule("order.shipped/mail", "order.shipped", Channel.EMAIL, "order.shipped", "orders", transactional=True)


def _late(size: int, folder: Path) -> float:
    """Seconds from the first deferral until all are back in their queue, beyond the longest delay."""
    with site(folder) as here:
        follow_ups = FollowUps(cast(Any, None), TaskPublisher(here.app()))

        def defer(number: int) -> None:
            batch = _batch(number)
            follow_ups.follow(batch, [_settled(batch, delivery) for delivery in batch.deliveries], [], [])

        pool, began = gevent.pool.Pool(_AT_ONCE), time.monotonic()
        for number in range(size // MAX_DELIVERIES):
            pool.spawn(defer, number)
        pool.join(raise_error=True)
        longest = began + _SCHEDULE.delays[0] * (1 + _SCHEDULE.jitter)
        time.sleep(max(0.0, longest - time.monotonic()))
        until(lambda: not _delayed(here), "all are back", every=0.1, timeout=600)
        return time.monotonic() - longest


def _batch(number: int) -> Batch:
    event = Event(id=f"{number}", source="/shop", type="order.shipped", data={"order": number, "note": "x" * 400})
    deliveries = [
        Delivery(
            id=f"dlv_{number:013}{place:013}",
            event=0,
            rule=_RULE.id,
            to=Mailbox(address=f"{number}.{place}@example.org"),
            queued=time.time(),
        )
        for place in range(MAX_DELIVERIES)
    ]
    return Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[event], deliveries=deliveries)


def _settled(batch: Batch, delivery: Delivery) -> Settled:
    deferred = Deferred("smtp_451")
    spread = random.uniform(-1, 1)
    follow = decide_retry(_SCHEDULE, 1, deferred, now=time.time(), expires=None, spread=spread)
    work = Work(claim_request(batch, delivery), batch.events[0], _RULE, Claimed(1, 1), ())
    ready = Ready(work, None, "", "")
    return Settled(ready, Decision(Status.DEFERRED, deferred.code, None, follow=cast(Any, follow)))


def _delayed(here: Site) -> bool:
    depths = here.rabbit.queue_depths(here.broker_url)
    return any(count for name, count in depths.items() if name.startswith("celery_delayed"))


CURVES = (
    Curve(
        "delays",
        "mails deferred by 24 batches at once: all are back after the longest delay and so long",
        "s",
        (6_000, 20_000, 60_000),
        _late,
        10.0,
        greenlets=True,
    ),
)
