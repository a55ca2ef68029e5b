"""Items of a digest that were of no use any more when it was sent: left out of it, and recorded as expired.

They are held in the ledger until then, so each is claimed first, like anything else whose status moves. One that cannot
be claimed has ended already: a digest that is tried again leaves the same items out.
"""

from __future__ import annotations

from collections.abc import Sequence

from notifier.domain.delivery import Delivery, Status
from notifier.domain.rule import Channel
from notifier.storage.ledger import Claimed, ClaimRequest, Ledger, Record
from notifier.worker.claiming import claim
from notifier.worker.holding import hold
from notifier.worker.preparing import Work

#: Seconds a claim on items is ours: recording is one round trip, and may have to wait for Redis.
_LEASE_S = 60.0


def record_late(ledger: Ledger, work: Work, places: Sequence[int], owner: str) -> None:
    """Two round trips for a digest with late items, none for others."""
    digest = work.delivery.digest
    if digest is None or not places:
        return
    requests = [_request(work, place, digest.deliveries[place]) for place in places]
    claims = claim(ledger, requests, owner, _LEASE_S)
    reason = f"expired before digest {work.delivery.id} was sent"
    records = [
        Record(request.delivery.id, claimed.fence, Status.EXPIRED, reason)
        for request, claimed in zip(requests, claims, strict=True)
        if isinstance(claimed, Claimed)
    ]
    hold(lambda: ledger.record(records), "record expired items")


def _request(work: Work, place: int, item: str) -> ClaimRequest:
    delivery = Delivery(id=item, event=0, rule=work.delivery.rule, to=work.delivery.to, queued=work.delivery.queued)
    return ClaimRequest(delivery, Channel.DIGEST, work.items[place])
