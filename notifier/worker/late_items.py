"""Items of a digest that do not leave with it: they expired and were left out, or nothing is sent to its recipient.

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


def record_late(ledger: Ledger, work: Work, places: Sequence[int]) -> None:
    """Items that expired. Two round trips for a digest with such items, none for others."""
    _end(ledger, work, places, Status.EXPIRED, f"expired before digest {work.delivery.id} was sent")


def record_withheld(ledger: Ledger, work: Work, status: Status, reason: str) -> None:
    """All items of a digest that ended before it was sent: otherwise they would wait for it in the ledger for ever."""
    digest = work.delivery.digest
    places = range(len(digest.deliveries)) if digest is not None else ()
    _end(ledger, work, places, status, f"{reason}; it was an item of digest {work.delivery.id}")


def _end(ledger: Ledger, work: Work, places: Sequence[int], status: Status, reason: str) -> None:
    digest = work.delivery.digest
    if digest is None or not places:
        return
    requests = [_request(work, place, digest.deliveries[place]) for place in places]
    claims = claim(ledger, requests, work.delivery.id, _LEASE_S)
    records = [
        Record(request.delivery.id, claimed.fence, status, reason)
        for request, claimed in zip(requests, claims, strict=True)
        if isinstance(claimed, Claimed)
    ]
    hold(lambda: ledger.record(records), "record items that are not sent")


def _request(work: Work, place: int, item: str) -> ClaimRequest:
    delivery = Delivery(id=item, event=0, rule=work.delivery.rule, to=work.delivery.to, queued=work.delivery.queued)
    # The content of the last ones of many is not kept; then Redis has to know which event it was.
    return ClaimRequest(delivery, Channel.DIGEST, work.items[place] if place < len(work.items) else work.event)
