"""What follows the tries of a batch, each step confirmed: retries, parks, suppressed addresses, disabled endpoints."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from notifier import metrics
from notifier.broker.publisher import Publishes, by_delay, by_shelf
from notifier.channels.port import Withheld, Work
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, EndpointRef
from notifier.domain.endpoint import Endpoint
from notifier.domain.event import Event
from notifier.domain.identity import Identity
from notifier.domain.ids import recipient_key
from notifier.domain.outcome import Cause, Park, clip
from notifier.domain.parked import Parked, told
from notifier.domain.retry import RetryIn
from notifier.domain.rule import Collecting, WorkKind
from notifier.domain.suppression import bounced
from notifier.errors import NotFound
from notifier.logs import get, wide
from notifier.storage.records import masked
from notifier.storage.stores import Stores
from notifier.worker.batch.recorder import now
from notifier.worker.batch.retry_buffer import RetryBuffer
from notifier.worker.batch.sender import Settled
from notifier.worker.digests.late_items import record_items
from notifier.worker.outage import retry_while_down

_log = get("endpoint")

#: Characters of a reason that operators see in a list; the whole reply is in the ledger's attempt.
REASON_LIMIT = 300


class FollowUps:
    """Carries out what was decided; returns when the broker and Redis have all of it."""

    def __init__(self, stores: Stores, publisher: Publishes, *, kept_most: int = 100_000) -> None:
        """``kept_most`` deliveries are parked for all endpoints that people disabled."""
        self._stores = stores
        self._kept_most = kept_most
        self._publisher = publisher
        self._retry_buffer = RetryBuffer(publisher)

    def follow(
        self,
        batch: Batch,
        settled: Sequence[Settled],
        withheld: Sequence[Withheld],
        later: Sequence[tuple[Delivery, int]],
    ) -> None:
        """Everything that follows one batch. ``later`` are deliveries to look at again, with seconds."""
        for one in settled:
            self._stop_what_is_gone(one)
            if (digest := one.work.delivery).digest is not None:
                decision, late = one.decision, one.ready.late
                record_items(self._stores.ledger, batch, digest, decision.status, reason=decision.reason, late=late)
        for unsent in withheld:
            record_items(self._stores.ledger, batch, unsent.work.delivery, unsent.status, reason=unsent.reason)
        for seconds, delayed in by_delay(batch, later):
            retry_while_down(lambda s=seconds, d=delayed: self._publisher.send(d, after=s), "queue what waits")  # type: ignore[misc]
        self._retry_buffer.send(batch, _retries(settled))
        park(batch, [*_exhausted(settled), *self._within_bounds(_refused(withheld))], self._stores, self._publisher)

    def _within_bounds(self, refused: list[tuple[Delivery, Parked]]) -> list[tuple[Delivery, Parked]]:
        """What was skipped for a disabled endpoint is kept for a replay, up to a number: perhaps nobody ever asks."""
        skipped = [one.id for _, one in refused if one.cause is Cause.ENDPOINT_DISABLED]
        if not skipped:
            return refused
        counts = retry_while_down(self._stores.parked.counts, "count parked deliveries")
        if counts.get(("failed-webhook", Cause.ENDPOINT_DISABLED), 0) < self._kept_most:
            return refused
        metrics.HELD_BEYOND.labels("failed-webhook").inc(len(skipped))
        wide(_log, "endpoint.held_beyond", level=logging.WARNING, deliveries=skipped, most=self._kept_most)
        return [(delivery, one) for delivery, one in refused if one.cause is not Cause.ENDPOINT_DISABLED]

    def _stop_what_is_gone(self, one: Settled) -> None:
        decision, to = one.decision, one.work.delivery.to
        code = decision.attempt.code if decision.attempt else ""
        if decision.suppress:
            key = recipient_key(one.ready.address)
            retry_while_down(lambda: self._stores.suppressions.add(key, bounced(code, now())), "suppress an address")
        if decision.disable_endpoint and isinstance(to, EndpointRef):
            self._disable_endpoint(to.endpoint, one.work.event.tenant, f"answered {code}", one.work.delivery.id)

    def disable_failing(self, endpoint: Endpoint, since: float, code: str) -> None:
        """Switch an endpoint off that has only failed for days."""
        days = (now() - since) / 86400
        self._disable_endpoint(endpoint.id, endpoint.tenant, f"failed for {days:.1f} days, last: {code}")

    def _disable_endpoint(self, endpoint: str, tenant: str, reason: str, delivery: str = "") -> None:
        try:
            retry_while_down(lambda: self._stores.endpoints.disable_failing(endpoint, reason), "disable an endpoint")
        except NotFound:
            # Removed while its webhook was under way: there is nobody left to tell.
            return
        event = {
            "specversion": "1.0",
            # One event for each cause, however many deliveries or workers meet it.
            "id": f"{delivery}-disabled" if delivery else f"{endpoint}-disabled-{now() // 86400:.0f}",
            "source": "/notifier/endpoints",
            "type": "notifier.endpoint.disabled",
            "tenant": tenant,
            "data": {"endpoint": endpoint, "reason": reason, **({"delivery": delivery} if delivery else {})},
        }
        retry_while_down(lambda: self._publisher.publish_event(event), "publish notifier.endpoint.disabled")


def park(batch: Batch, parks: Iterable[tuple[Delivery, Parked]], stores: Stores, publisher: Publishes) -> None:
    """Put deliveries of a batch into their failure queues, then into the index; whoever finds them there is done."""
    for place, group in by_shelf(batch, parks):
        retry_while_down(lambda p=place, g=group: publisher.park(p, g), "park deliveries")  # type: ignore[misc]
        retry_while_down(lambda g=group: stores.parked.add(g.parked), "index parked deliveries")  # type: ignore[misc]


def _retries(settled: Sequence[Settled]) -> list[tuple[Delivery, int]]:
    return [
        (one.work.delivery.model_copy(update={"attempt": one.tries, "waited": ""}), one.decision.follow.seconds)
        for one in settled
        if isinstance(one.decision.follow, RetryIn)
    ]


def _exhausted(settled: Sequence[Settled]) -> list[tuple[Delivery, Parked]]:
    return [
        (one.work.delivery, _entry(one.work, one.decision.follow, one.ready.template, tries=one.tries))
        for one in settled
        if isinstance(one.decision.follow, Park)
    ]


def _refused(withheld: Sequence[Withheld]) -> list[tuple[Delivery, Parked]]:
    return [
        (one.work.delivery, _entry(one.work, one.park, one.template, tries=one.work.claim.tries))
        for one in withheld
        if one.park is not None
    ]


def _entry(work: Work, park: Park, template: str, *, tries: int) -> Parked:
    return entry(work.delivery, work.event, park, template, tries=tries, kind=work.request.channel)


def entry(delivery: Delivery, event: Event, park: Park, template: str, *, tries: int, kind: WorkKind) -> Parked:
    """What operators see of a delivery in its failure queue; ``kind`` is its batch's."""
    return Parked(
        id=delivery.id,
        queue=_failure_queue(delivery, kind),
        cause=park.cause,
        reason=clip(park.reason)[:REASON_LIMIT],
        parked_at=now(),
        **told(Identity.of(event)),
        rule=delivery.rule,
        destination=masked(delivery.to),
        code=park.code,
        attempts=tries,
        template=template,
    )


def _failure_queue(delivery: Delivery, kind: WorkKind) -> str:
    """A digest's mail travels among mails and is parked among digests."""
    return f"failed-{Collecting.DIGEST if delivery.digest is not None else kind}"
