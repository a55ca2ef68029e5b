"""Digests: items go into their windows, and windows that are due become one email each.

Crash-safe without transactions over two servers: an item put in twice is one item, a window closed twice gives the same
content, and the email's id is a hash of its window, so a repeated publish is recognised by its claim.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from notifier import metrics
from notifier.broker.publisher import Publishes, by_delay
from notifier.domain.batch import Batch
from notifier.domain.delivery import WAITS_FOR_DIGEST, Delivery, DigestItems, Status
from notifier.domain.ids import digest_id
from notifier.domain.outcome import Cause, Park
from notifier.domain.parked import Parked
from notifier.domain.rule import Window
from notifier.domain.waiting import RawBatch
from notifier.errors import ConfigurationError, InvalidBatch, RuleMissing
from notifier.logs import get, wide
from notifier.rules.content import Content
from notifier.rules.live import Live
from notifier.storage.digests import ClosedWindow, Digests, Item, WindowRef
from notifier.storage.ledger import Claimed, Record
from notifier.storage.stores import Stores
from notifier.worker.batch.claims import claim_all, work_of
from notifier.worker.batch.follow_ups import entry, park
from notifier.worker.batch.recorder import now
from notifier.worker.batch.separation import separate
from notifier.worker.batch.unfinished import finish
from notifier.worker.outage import retry_while_down

#: Seconds a claim on items is ours: collecting is one round trip, and may have to wait for Redis.
COLLECT_LEASE_S = 60.0
#: Windows one sweep closes before it lets other tasks run.
SWEEP_MOST = 500

_log = get("digest")


class Collector:
    """Runs ``notifier.digest`` batches and the sweep."""

    def __init__(
        self,
        *,
        content: Live[Content],
        stores: Stores,
        digests: Digests,
        publisher: Publishes,
        owner: str,
    ) -> None:
        self._content = content
        self._stores = stores
        self._digests = digests
        self._publisher = publisher
        self._owner = owner

    def run(self, raw: RawBatch) -> None:
        """Collect a batch of items. Returns when they are in Redis and recorded as held.

        Raises `InvalidBatch` for a batch of one that nobody can read; a larger one is taken apart.
        """
        try:
            batch = raw.decode()
        except InvalidBatch as error:
            separate(raw, error, self._publisher)
        else:
            self._run(batch)

    def _run(self, batch: Batch) -> None:
        content = self._content.current
        claims = claim_all(work_of(batch, content), self._stores.ledger, self._owner, COLLECT_LEASE_S)
        mine = [(work.delivery, work.claim) for work in claims.work]
        windows = {d.rule: rule.window for d, _ in mine if (rule := content.catalog.rule(d.rule)) is not None}
        known = [(d, a, window) for d, a in mine if (window := windows.get(d.rule)) is not None]
        unknown = [(d, a) for d, a in mine if windows.get(d.rule) is None]
        self._collect(batch, known)
        self._park(batch, unknown)
        # Another worker has these, or died with them: its batch may be the one in our hands.
        for seconds, delayed in by_delay(batch, claims.later):
            retry_while_down(lambda s=seconds, d=delayed: self._publisher.send(d, after=s), "queue items again")  # type: ignore[misc]
        finish(batch, claims.ended, self._stores, self._publisher)
        wide(_log, "digest.collected", items=len(known), already_done=len(claims.ended), later=len(claims.later))

    def sweep(self) -> int:
        """Turn every window that is due into its email; returns how many. Safe to run anywhere, any number of times."""
        due = retry_while_down(lambda: self._digests.due(now(), SWEEP_MOST), "look for due digests")
        for ref in due:
            self._close(ref)
        metrics.DIGEST_SWEPT.set(now())
        return len(due)

    def _close(self, ref: WindowRef) -> None:
        try:
            closed = retry_while_down(lambda: self._digests.close(ref, now()), "close a digest")
            if closed is not None:
                self._send(closed)
        except (RuleMissing, ConfigurationError, ValueError, KeyError) as error:
            # One window nobody can send must not keep the others waiting.
            wide(_log, "digest.stuck", level=logging.ERROR, window=ref.window, error=str(error))
        else:
            retry_while_down(lambda: self._digests.forget(ref), "forget a digest window")

    def _collect(self, batch: Batch, mine: Sequence[tuple[Delivery, Claimed, Window]]) -> None:
        moment = now()
        mine = self._without_late(mine, moment)
        if not mine:
            return
        items = [Item(delivery, batch.events[delivery.event], window) for delivery, _, window in mine]
        collected = retry_while_down(lambda: self._digests.collect(items, moment), "collect digest items")
        metrics.DIGEST_ITEMS.inc(sum(1 for item in collected if item.fresh))
        records = [Record(d.id, claim.fence, Status.HELD, WAITS_FOR_DIGEST) for d, claim, _ in mine]
        retry_while_down(lambda: self._stores.ledger.record(records), "record digest items")

    def _without_late(
        self, mine: Sequence[tuple[Delivery, Claimed, Window]], moment: float
    ) -> list[tuple[Delivery, Claimed, Window]]:
        """What has expired on its way here joins no window."""
        late = [(d, claim) for d, claim, _ in mine if d.expires is not None and moment >= d.expires]
        if late:
            records = [
                Record(d.id, claim.fence, Status.EXPIRED, "expired before it was collected") for d, claim in late
            ]
            retry_while_down(lambda: self._stores.ledger.record(records), "record expired items")
        gone = {delivery.id for delivery, _ in late}
        return [one for one in mine if one[0].id not in gone]

    def _park(self, batch: Batch, unknown: Sequence[tuple[Delivery, Claimed]]) -> None:
        if not unknown:
            return
        records = [Record(d.id, claim.fence, Status.REFUSED, Cause.RULE_MISSING) for d, claim in unknown]
        retry_while_down(lambda: self._stores.ledger.record(records), "record items without a rule")
        parks = [(delivery, _missing_rule(batch, delivery)) for delivery, _ in unknown]
        park(batch, parks, self._stores, self._publisher)

    def _send(self, closed: ClosedWindow) -> None:
        rule = self._content.current.catalog.rule(closed.rule)
        if rule is None:
            # The window stays closed and every later sweep looks again: it goes out when the rule is back.
            raise RuleMissing(f"window {closed.window} belongs to rule {closed.rule!r}, which templates/ does not have")
        delivery = Delivery(
            id=digest_id(closed.rule, closed.to.identity, closed.key, closed.window),
            event=0,
            rule=closed.rule,
            to=closed.to,
            queued=closed.closed,
            key=closed.key,
            digest=DigestItems(
                items=list(range(len(closed.events))),
                total=closed.total,
                deliveries=list(closed.deliveries),
                key=closed.key,
                opened=closed.opened,
                closed=closed.closed,
                expires=list(closed.expires) if any(closed.expires) else [],
            ),
        )
        batch = Batch(channel=rule.channel, priority=rule.priority, events=list(closed.events), deliveries=[delivery])
        retry_while_down(lambda: self._publisher.send(batch), "queue a digest")
        by = "size" if rule.window and rule.window.at_most and closed.total >= rule.window.at_most else "time"
        metrics.DIGEST_WINDOWS_CLOSED.labels(by).inc()
        wide(_log, "digest.closed", delivery=delivery.id, rule=closed.rule, items=closed.total, by=by)


def _missing_rule(batch: Batch, delivery: Delivery) -> Parked:
    why = Park(Cause.RULE_MISSING, f"this worker's templates/ has no digest rule {delivery.rule!r}", code="")
    return entry(delivery, batch.events[delivery.event], why, "", tries=0, kind=batch.channel)
