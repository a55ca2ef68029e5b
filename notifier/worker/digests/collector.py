"""Digests: items go into their windows, and windows that are due become one email each.

Crash-safe without transactions over two servers: an item put in twice is one item, a window closed twice gives the same
content, and the email's id is a hash of its window, so a repeated publish is recognised by its claim.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from time import monotonic

from notifier import metrics
from notifier.broker.publisher import Publishes, by_delay
from notifier.domain.batch import Batch
from notifier.domain.delivery import WAITS_FOR_DIGEST, Delivery, Status
from notifier.domain.ids import digest_id
from notifier.domain.outcome import Cause, Park
from notifier.domain.parked import Parked
from notifier.domain.rule import Rule, Window
from notifier.domain.waiting import RawBatch
from notifier.errors import InvalidBatch, RuleMissing
from notifier.logs import get, wide
from notifier.rules.content import Content
from notifier.rules.live import Live
from notifier.storage.claims import person_of
from notifier.storage.digests import ClosedWindow, Digests, Item, WindowRef, lease
from notifier.storage.ledger import Claimed, Record
from notifier.storage.stores import Stores
from notifier.worker.batch.claims import claim_all, work_of
from notifier.worker.batch.follow_ups import entry, park
from notifier.worker.batch.recorder import now
from notifier.worker.batch.separation import separate
from notifier.worker.batch.unfinished import finish
from notifier.worker.digests.mails import mails_of
from notifier.worker.outage import retry_while_down

#: Seconds a claim on items is ours: collecting is one round trip, and may have to wait for Redis.
COLLECT_LEASE_S = 60.0
#: Windows a sweep takes at once. A window may be of 2 MiB, and all of them are in memory together.
TAKEN_TOGETHER = 50
#: Seconds of a sweep; the next one is at most two away.
SWEEP_S = 20.0

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
        self._sweeping = False

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
        """Turn windows that are due into mails until none is, or for `SWEEP_S`; returns how many. Safe to run anywhere.

        Each window is taken by one sweep, so as many workers as get one share the work. While one runs in this process
        a second one would only wait for the same CPU.
        """
        if self._sweeping:
            return 0
        self._sweeping, swept, until = True, 0, monotonic() + SWEEP_S
        try:
            while due := self._take():
                self._close(due)
                swept += len(due)
                if monotonic() > until:
                    break
            metrics.DIGEST_SWEPT.set(now())
            return swept
        finally:
            self._sweeping = False

    def _take(self) -> list[WindowRef]:
        until = lease(now())
        return retry_while_down(lambda: self._digests.take(now(), until, TAKEN_TOGETHER), "look for due digests")

    def _close(self, due: Sequence[WindowRef]) -> None:
        closed = retry_while_down(lambda: self._digests.close(due, now(), _tell_stuck), "close digests")
        refs = {window.window: ref for ref, window in closed}
        for batch, windows in mails_of(self._with_rules(closed)):
            retry_while_down(lambda b=batch: self._publisher.send(b), "queue digests")  # type: ignore[misc]
            done = [refs[window.window] for window in windows]
            retry_while_down(lambda d=done: self._digests.forget(d), "forget digest windows")  # type: ignore[misc]
            for window in windows:
                self._tell(window)

    def _with_rules(self, closed: Sequence[tuple[WindowRef, ClosedWindow]]) -> Iterator[tuple[Rule, ClosedWindow]]:
        for ref, window in closed:
            rule = self._content.current.catalog.rule(window.rule)
            if rule is None:
                # It stays closed and is due again later: it goes out when the rule is back.
                what = f"window {window.window} belongs to rule {window.rule!r}, which templates/ does not have"
                _tell_stuck(ref, RuleMissing(what))
            else:
                yield rule, window

    def _tell(self, closed: ClosedWindow) -> None:
        rule = self._content.current.catalog.rule(closed.rule)
        at_most = rule.window.at_most if rule and rule.window else None
        by = "size" if at_most and closed.total >= at_most else "time"
        metrics.DIGEST_WINDOWS_CLOSED.labels(by).inc()
        delivery = digest_id(closed.rule, closed.to.identity, closed.key, closed.window)
        wide(_log, "digest.closed", delivery=delivery, rule=closed.rule, items=closed.total, by=by)

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
            why = "expired before it was collected"
            records = [Record(d.id, claim.fence, Status.EXPIRED, why, person=person_of(d.to)) for d, claim in late]
            retry_while_down(lambda: self._stores.ledger.record(records), "record expired items")
        gone = {delivery.id for delivery, _ in late}
        return [one for one in mine if one[0].id not in gone]

    def _park(self, batch: Batch, unknown: Sequence[tuple[Delivery, Claimed]]) -> None:
        if not unknown:
            return
        cause = Cause.RULE_MISSING
        records = [Record(d.id, claim.fence, Status.REFUSED, cause, person=person_of(d.to)) for d, claim in unknown]
        retry_while_down(lambda: self._stores.ledger.record(records), "record items without a rule")
        parks = [(delivery, _missing_rule(batch, delivery)) for delivery, _ in unknown]
        park(batch, parks, self._stores, self._publisher)


def _tell_stuck(ref: WindowRef, error: Exception) -> None:
    """One window nobody can send must not keep the others waiting."""
    wide(_log, "digest.stuck", level=logging.ERROR, window=ref.window, error=str(error))


def _missing_rule(batch: Batch, delivery: Delivery) -> Parked:
    why = Park(Cause.RULE_MISSING, f"this worker's templates/ has no digest rule {delivery.rule!r}", code="")
    return entry(delivery, batch.events[delivery.event], why, "", tries=0, kind=batch.channel)
