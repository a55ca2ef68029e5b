"""`Dispatch.run`: the fixed procedure for one batch: claim → gate and render → send → record → retry or park.

The order of its last steps is the promise: what happened is in the ledger and what follows is confirmed by the broker
before the task returns, and only then does Celery acknowledge the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import gevent

from notifier.domain.batch import Batch
from notifier.domain.delivery import Attempt, Delivery, Destination, RecipientRef, Status
from notifier.domain.endpoint import Endpoint
from notifier.domain.ids import suppression_keys
from notifier.domain.outcome import Cause, clip
from notifier.domain.rule import Priority
from notifier.domain.waiting import RawBatch
from notifier.errors import StorageUnavailable
from notifier.logs import get, wide
from notifier.rules.content import Content
from notifier.rules.live import Live
from notifier.storage.ledger import Record
from notifier.storage.stores import Stores
from notifier.worker.admission import UNCOUNTED, Turn, handicap_of
from notifier.worker.batch.claims import Claims, claim_batch
from notifier.worker.batch.follow_ups import FollowUps
from notifier.worker.batch.preparer import Directory, Preparer, Ready, Withheld, Work
from notifier.worker.batch.recorder import Receipt, Recorder, now
from notifier.worker.batch.report import report
from notifier.worker.batch.sender import Sender, Settled
from notifier.worker.batch.time_slices import TimeSlices
from notifier.worker.batch.unfinished import Unfinished
from notifier.worker.endpoints.delay_buffer import read_ended
from notifier.worker.endpoints.gate import Gated
from notifier.worker.endpoints.policy import EndpointPolicy
from notifier.worker.outage import retry_while_down
from notifier.worker.rates.rate_limits import Delayed, RateLimits
from notifier.worker.rates.relay_health import RelayHealth
from notifier.worker.rates.throttles import RecipientThrottles

#: Seconds a claim is ours beyond the longest batch: its records may have to wait for Redis. A worker that dies gives
#: its claims up earlier, when its liveness key is gone.
LEASE_SLACK_S = 60.0
#: Seconds until the second look at what another worker has. Just over the 8 s a killed worker's sign of life lasts:
#: its batches come back at once and find it still "alive".
ORPHAN_LOOK_S = 9.0

_log = get("worker")


class Dispatch:
    """Runs batches; one per worker process, shared by all greenlets."""

    def __init__(
        self,
        *,
        content: Live[Content],
        stores: Stores,
        preparer: Preparer,
        sender: Sender,
        recorder: Recorder,
        follow_ups: FollowUps,
        resuming: Unfinished,
        throttles: RecipientThrottles,
        relay_health: RelayHealth,
        rate_limits: RateLimits,
        endpoint_policy: EndpointPolicy,
        owner: str,
    ) -> None:
        self._content = content
        self._stores = stores
        self._preparer = preparer
        self._sender = sender
        self._recorder = recorder
        self._follow_ups = follow_ups
        self._unfinished = resuming
        self._throttles = throttles
        self._relay_health = relay_health
        self._rate_limits = rate_limits
        self._endpoint_policy = endpoint_policy
        self._time_slices = TimeSlices()
        self._owner = owner
        self._lease = sender.longest_batch + LEASE_SLACK_S

    def run(self, batch: RawBatch, turn: Turn = UNCOUNTED) -> None:
        """Deliver a batch. Returns when everything is recorded and confirmed; raises `Unavailable` to hand it back."""
        if self._relay_health.postpones(batch) or not self._endpoint_policy.begin(batch):
            return
        try:
            self._run_twice(batch, turn)
        finally:
            self._endpoint_policy.end(batch)

    def _run_twice(self, batch: RawBatch, turn: Turn) -> None:
        orphans = self._run_once(batch, turn, patient=True)
        if orphans is not None:
            # Not as a new message for later: each crash of a worker must count against the one the broker knows, or
            # a batch that kills every worker would never reach its delivery limit.
            gevent.sleep(ORPHAN_LOOK_S)
            self._run_once(RawBatch.read(orphans.encode()), turn)

    def _run_once(self, batch: RawBatch, turn: Turn, *, patient: bool = False) -> Batch | None:
        """Returns what another worker has or had, if ``patient``."""
        gated = self._endpoint_policy.sort(batch)
        delaying = self._endpoint_policy.delay(batch, gated)
        orphans = self._run_gated(gated, gated.batch, turn, patient) if gated.batch is not None else None
        # What was sent is let go before the wait, and its memory is the next batch's: two dozen batches with all they
        # were made into are more than a CPU's cache holds.
        del gated
        turn.prepared()
        turn.narrow(0)
        for delayed, ended in read_ended(delaying.wait(), batch.priority, batch.shard):
            self._unfinished.finish(delayed, ended)
        return orphans

    def _run_gated(self, gated: Gated, batch: Batch, turn: Turn, patient: bool) -> Batch | None:
        content = self._content.current
        claims = claim_batch(batch, content, self._stores.ledger, self._owner, self._lease, patient=patient)
        try:
            self._run_claimed(batch, content, claims, gated, turn)
        except BaseException:
            self._release(claims.work)
            raise
        return batch.narrowed(claims.orphans) if claims.orphans else None

    def _run_claimed(self, batch: Batch, content: Content, claims: Claims, gated: Gated, turn: Turn) -> None:
        directory = self._directory(claims.work, gated.endpoints)
        sifted = self._throttles.sift(claims.work, directory, now())
        paced = self._rate_limits.pace(sifted.work, directory, batch.priority, now())
        self._delay(paced.delayed, claims)
        with self._time_slices.turn(urgent=batch.priority is Priority.HIGH) as pause:
            ready, withheld = self._prepare(paced.work, content, directory, pause)
        withheld += sifted.withheld
        receipt = Receipt(len(ready) + len(withheld))
        for one in withheld:
            self._recorder.submit(_withheld_record(one, self._owner), receipt)

        def meanwhile(answered: Sequence[Settled]) -> None:
            turn.narrow(len(ready) - len(answered))
            # At once: who asks for time would be asked again by every batch until the breakers know.
            self._endpoint_policy.judge(gated, ready, answered)

        turn.prepared()
        settled = self._sender.send(
            ready, receipt, self._endpoint_policy.leaving(batch, gated), meanwhile, handicap=handicap_of(batch.queue)
        )
        self._endpoint_policy.copy_left_behind(batch, ready, settled)
        self._relay_health.tell()
        receipt.wait()
        self._endpoint_policy.judge(gated, ready, settled)
        # Somebody else took a stale one over meanwhile; what follows it is theirs to decide.
        settled = [one for one in settled if one.work.delivery.id not in receipt.stale]
        withheld = [one for one in withheld if one.work.delivery.id not in receipt.stale]
        self._follow_ups.follow(batch, settled, withheld, claims.later)
        self._unfinished.finish(batch, claims.ended)
        report(batch, claims, settled, withheld)

    def _delay(self, delayed: Sequence[Delayed], claims: Claims) -> None:
        if not delayed:
            return
        moment = now()
        held = [(d.delivery.id, d.work.claim.fence, d.reason, moment + d.seconds) for d in delayed]
        retry_while_down(lambda: self._stores.ledger.postpone(held), "release deliveries that wait for a rate limit")
        claims.later += [(d.delivery, d.seconds) for d in delayed]

    def _release(self, work: Sequence[Work]) -> None:
        """Give claims up with the batch, so that whoever gets it next need not wait for the lease to end."""
        try:
            self._stores.ledger.release([(one.delivery.id, one.claim.fence) for one in work])
        except StorageUnavailable as error:
            wide(_log, "claims.kept", level=logging.WARNING, error=str(error), until_s=self._lease)

    def _directory(self, work: Sequence[Work], endpoints: Mapping[str, Endpoint]) -> Directory:
        people = sorted({one.recipient for w in work for one in _named(w.delivery) if isinstance(one, RecipientRef)})
        known = retry_while_down(lambda: self._stores.recipients.get_many(people), "read recipients") if people else {}
        keys = [key for person in known.values() for key in suppression_keys(person.email)]
        suppressed = (
            retry_while_down(lambda: self._stores.suppressions.get_many(keys), "read suppressions") if keys else {}
        )
        return Directory(endpoints, known, suppressed)

    def _prepare(
        self, work: Sequence[Work], content: Content, directory: Directory, pause: Callable[[], None]
    ) -> tuple[list[Ready], list[Withheld]]:
        prepared = self._preparer.prepare(work, content, directory, pause)
        ready = [one for one in prepared if isinstance(one, Ready)]
        return ready, [one for one in prepared if isinstance(one, Withheld)]


def _named(delivery: Delivery) -> Iterable[Destination]:
    """Everybody whose address this delivery's mail needs: copies show all the others."""
    copies = delivery.copies
    return (delivery.to,) if copies is None else (delivery.to, copies.to, *copies.cc)


def _withheld_record(one: Withheld, worker: str) -> Record:
    attempt = None
    if one.park is not None and one.park.cause is Cause.RENDER_FAILED:
        number = one.work.claim.number
        reply = clip(one.park.reason)
        attempt = Attempt(number, now(), 0.0, Status.REFUSED.value, Cause.RENDER_FAILED.value, reply, worker)
    return Record(
        id=one.work.delivery.id,
        fence=one.work.claim.fence,
        status=one.status,
        reason=one.reason,
        attempt=attempt,
        template=one.template,
        claimed=one.work.request,
    )
