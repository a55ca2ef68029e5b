"""Items of a digest end as it does, or before it: refused with it, expired while it waited; replayed, they wait again.

They are held in the ledger until then, so each is claimed first, like anything else whose status moves. One that cannot
be claimed has ended already: a digest that is tried again leaves the same items out. *Sent* needs no claim.
"""

from __future__ import annotations

from collections.abc import Sequence

from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Status, with_digest
from notifier.storage.claims import item_requests, person_of
from notifier.storage.ledger import Claimed, ClaimRequest, Ledger, Record
from notifier.worker.batch.claims import claim
from notifier.worker.outage import retry_while_down

#: Seconds a claim on items is ours: recording is one round trip, and may have to wait for Redis.
_LEASE_S = 60.0
#: What a digest may end as and its items with it.
_ENDS = (Status.REFUSED, Status.EXHAUSTED, Status.SUPPRESSED, Status.SKIPPED)


def record_items(
    ledger: Ledger, batch: Batch, digest: Delivery, status: Status, *, reason: str, late: Sequence[int] = ()
) -> None:
    """What became of a digest's items when it became ``status``; nothing, while it is on its way.

    ``late`` are places of items that had expired and were not in it. One or two round trips for a digest that ended,
    none for anything else.
    """
    if digest.digest is None:
        return
    if status is Status.EXPIRED:
        late = range(len(digest.digest.deliveries))
    places = [place for place in range(len(digest.digest.deliveries)) if place not in late]
    if status is Status.SENT:
        # *Sent* is written whatever the fence: the items have left with their digest.
        who, reason = person_of(digest.to), with_digest(digest.id)
        sent = [Record(digest.digest.deliveries[p], 0, status, reason, person=who) for p in places]
        retry_while_down(lambda: ledger.record(sent), "record digest items")
    elif status in _ENDS:
        _end(ledger, item_requests(batch, digest, places), digest.id, status, with_digest(digest.id, reason))
    if status in (Status.SENT, Status.EXPIRED, *_ENDS):
        why = f"expired before digest {digest.id} was sent"
        _end(ledger, item_requests(batch, digest, late), digest.id, Status.EXPIRED, why)


def _end(ledger: Ledger, requests: Sequence[ClaimRequest], owner: str, status: Status, reason: str) -> None:
    if not requests:
        return
    claims = claim(ledger, requests, owner, _LEASE_S)
    records = [
        Record(request.delivery.id, claimed.fence, status, reason, person=person_of(request.delivery.to))
        for request, claimed in zip(requests, claims, strict=True)
        if isinstance(claimed, Claimed)
    ]
    retry_while_down(lambda: ledger.record(records), "record items that are not sent")
