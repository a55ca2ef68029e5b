"""What a worker left undone that died after it recorded an end and before it had carried out what follows.

Its batch comes back, and the claims say that these deliveries have ended. Skipping them would acknowledge the only
message that still names them: refused in the ledger, and in no failure queue where anybody would look.

A batch also comes back from a worker that lives and has only lost its connection. What such a one ended a moment ago is
left to it, and looked at again: parked by us and replayed by somebody at once, the delivery could be sent before its
worker writes what follows from its first end, such as that its address bounces.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from notifier.broker.publisher import Publishes, by_delay
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, DeliveryRecord, Status, went_with_digest
from notifier.domain.endpoint import DISABLED
from notifier.domain.look_again import NotNow, look_again
from notifier.domain.outcome import Cause, Park
from notifier.domain.parked import Parked
from notifier.logs import get, wide
from notifier.storage.parked import ParkedFilter
from notifier.storage.stores import Stores
from notifier.worker.batch.follow_ups import entry, park
from notifier.worker.batch.recorder import now
from notifier.worker.digests.late_items import record_items
from notifier.worker.outage import retry_while_down

_log = get("worker")

#: Seconds after which what another worker has just ended is looked at again; nearly all is parked within milliseconds.
SETTLE_S = 10.0
#: Seconds after its end in which a living worker parks a delivery, or is taken for one that never will.
PARKED_BY_THEN_S = 60.0
#: What may have to be parked; of what was skipped, that whose endpoint a person disabled.
_FAILED = (Status.REFUSED, Status.EXHAUSTED, Status.SKIPPED)


def finish(batch: Batch, ended: Sequence[tuple[Delivery, Status]], stores: Stores, publisher: Publishes) -> None:
    """Park what failed and is not indexed as parked, which is the last step of parking; digests' items end too.

    Nothing else: an address or endpoint that is gone says so again at the next try. All of it may be done twice.
    """
    _record_items(batch, [(delivery, status) for delivery, status in ended if delivery.digest], stores)
    failed = {delivery.id: delivery for delivery, status in ended if status in _FAILED}
    if not failed:
        return
    wanted = ParkedFilter(ids=tuple(failed))
    known = retry_while_down(lambda: stores.parked.search(wanted, limit=len(failed)), "look for parked deliveries")
    for there in known.entries:
        failed.pop(there.id, None)
    if failed:
        _finish(batch, failed, stores, publisher)


def _record_items(batch: Batch, digests: Sequence[tuple[Delivery, Status]], stores: Stores) -> None:
    ids = [delivery.id for delivery, _ in digests]
    found = retry_while_down(lambda: stores.ledger.deliveries(ids), "read ended digests") if ids else []
    for (delivery, status), record in zip(digests, found, strict=True):
        record_items(stores.ledger, batch, delivery, status, reason=record.reason if record else "")


def _finish(batch: Batch, unparked: dict[str, Delivery], stores: Stores, publisher: Publishes) -> None:
    records = retry_while_down(lambda: stores.ledger.deliveries(list(unparked)), "read ended deliveries")
    own = [record for record in records if record and _is_parked(record)]
    left = _left_to_their_workers(own, stores)
    if left:
        waits = [(unparked[record.id], look_again(NotNow.BUSY, SETTLE_S)) for record in left]
        for seconds, again in by_delay(batch, waits):
            retry_while_down(partial(publisher.send, again, after=seconds), "look at ended deliveries again")
        wide(_log, "deliveries.left", deliveries=[record.id for record in left])
    _park(batch, unparked, [record for record in own if record not in left], stores, publisher)


def _left_to_their_workers(ended: Sequence[DeliveryRecord], stores: Stores) -> list[DeliveryRecord]:
    """What ended a moment ago, unless it is known that its worker has died."""
    fresh = [record for record in ended if abs(now() - record.updated) < PARKED_BY_THEN_S]
    owners = {record.attempts[-1].worker for record in fresh if record.attempts}
    dead = retry_while_down(lambda: stores.ledger.dead(owners), "ask which workers live") if owners else set()
    return [record for record in fresh if not record.attempts or record.attempts[-1].worker not in dead]


def _park(
    batch: Batch,
    unparked: dict[str, Delivery],
    records: Sequence[DeliveryRecord],
    stores: Stores,
    publisher: Publishes,
) -> None:
    parks = [(unparked[record.id], _parked(batch, unparked[record.id], record)) for record in records]
    if parks:
        park(batch, parks, stores, publisher)
        wide(_log, "deliveries.parked_late", deliveries=[delivery.id for delivery, _ in parks])


def _parked(batch: Batch, delivery: Delivery, record: DeliveryRecord) -> Parked:
    last = record.attempts[-1] if record.attempts else None
    park = Park(_cause(record), last.reply if last else record.reason, last.code if last else "")
    event, template = batch.events[delivery.event], record.template
    return entry(delivery, event, park, template, tries=record.tries, kind=batch.channel)


def _is_parked(record: DeliveryRecord) -> bool:
    """Of an item that ended with its digest, that is; what was skipped for another reason is wanted by nobody."""
    if record.status is Status.SKIPPED:
        return record.reason.startswith(DISABLED)
    return not went_with_digest(record.reason)


def _cause(record: DeliveryRecord) -> Cause:
    if record.status is Status.SKIPPED:
        return Cause.ENDPOINT_DISABLED
    if record.status is Status.EXHAUSTED:
        return Cause.EXHAUSTED
    try:
        return Cause(record.reason)
    except ValueError:
        # A later release's cause, or a reason in words: what matters is that somebody sees the delivery.
        return Cause.REFUSED
