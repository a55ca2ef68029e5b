"""`Dispatch.run`: the fixed procedure for one batch: claim → gate and render → send → record → retry or park.

The order of its last steps is the promise: what happened is in the ledger and what follows is confirmed by the broker
before the task returns, and only then does Celery acknowledge the batch.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import gevent

from notifier import metrics
from notifier.broker.publisher import Publishes
from notifier.channels.port import DeliveryChannel, Directory, Draft, Ready, Withheld, Work
from notifier.domain.batch import Batch
from notifier.domain.contacts import contact_identity
from notifier.domain.delivery import Attempt, Delivery, Destination, RecipientRef, Status
from notifier.domain.endpoint import Endpoint
from notifier.domain.ids import recipient_key, suppression_keys
from notifier.domain.look_again import NotNow, look_again
from notifier.domain.outcome import Cause, clip
from notifier.domain.recipient import Recipient
from notifier.domain.rule import Priority, WorkKind
from notifier.domain.waiting import RawBatch
from notifier.errors import InvalidBatch, StorageUnavailable
from notifier.logs import get, wide
from notifier.rules.content import Content
from notifier.rules.live import Live
from notifier.storage.ledger import Record
from notifier.storage.stores import Stores
from notifier.worker.admission import UNCOUNTED, Turn, handicap_of
from notifier.worker.batch.claims import Claims, claim_all, work_of
from notifier.worker.batch.follow_ups import FollowUps
from notifier.worker.batch.preparer import prepare, render_early
from notifier.worker.batch.recorder import Receipt, Recorder, now
from notifier.worker.batch.report import report
from notifier.worker.batch.sender import Sender, Settled
from notifier.worker.batch.separation import separate
from notifier.worker.batch.time_slices import TimeSlices
from notifier.worker.batch.unfinished import finish
from notifier.worker.in_flight import InFlight
from notifier.worker.outage import retry_while_down
from notifier.worker.policy import Gated, Policy
from notifier.worker.rates.rate_limits import Delayed, RateLimits
from notifier.worker.rates.throttles import Sift

#: Seconds a claim is ours beyond the longest batch: its records may have to wait for Redis. A worker that dies gives
#: its claims up earlier, when its liveness key is gone.
LEASE_SLACK_S = 60.0
#: Seconds until the second look at what another worker has. Just over the 8 s a killed worker's sign of life lasts:
#: its batches come back at once and find it still "alive".
ORPHAN_LOOK_S = 9.0

_log = get("worker")


@dataclass(slots=True)
class _Part:
    """What a batch is sent by, and how far it is."""

    channel: DeliveryChannel
    policy: Policy
    gated: Gated
    turn: Turn


class Dispatch:
    """Runs batches; one per worker process, shared by all greenlets."""

    def __init__(
        self,
        *,
        content: Live[Content],
        stores: Stores,
        channels: Mapping[WorkKind, DeliveryChannel],
        policies: Mapping[WorkKind, Policy],
        sender: Sender,
        recorder: Recorder,
        follow_ups: FollowUps,
        sift: Sift,
        rate_limits: RateLimits,
        in_flight: InFlight,
        publisher: Publishes,
        owner: str,
    ) -> None:
        """Each of ``channels`` has its policy in ``policies``."""
        self._content = content
        self._stores = stores
        self._channels = channels
        self._policies = policies
        self._sender = sender
        self._recorder = recorder
        self._follow_ups = follow_ups
        self._sift = sift
        self._rate_limits = rate_limits
        self._in_flight = in_flight
        self._publisher = publisher
        self._time_slices = TimeSlices()
        self._owner = owner
        self._lease = sender.longest_batch + LEASE_SLACK_S

    def run(self, batch: RawBatch, turn: Turn = UNCOUNTED) -> None:
        """Deliver a batch. Returns when everything is recorded and confirmed; raises `Unavailable` to hand it back."""
        if (channel := self._channels.get(batch.channel)) is None:
            raise InvalidBatch(f"this worker has no channel {batch.channel!r}")
        if seconds := channel.closed_for():
            self._send_later(batch, "batch.postponed", look_again(NotNow.PAUSED, seconds, spread=random.uniform(-1, 1)))  # noqa: S311 - jitter
        elif self._in_flight.begin(batch.size, batch.priority):
            try:
                self._run_twice(batch, channel, turn)
            finally:
                self._in_flight.end(batch.size)
        else:
            metrics.BATCHES_REJECTED.labels("full").inc()
            self._send_later(batch, "batch.too_many", look_again(NotNow.FULL))

    def _send_later(self, batch: RawBatch, why: str, seconds: int) -> None:
        try:
            whole = batch.decode()
        except InvalidBatch as error:
            separate(batch, error, self._publisher)
            return
        retry_while_down(lambda: self._publisher.send(whole, after=seconds), "queue a batch for later")
        under_way = self._in_flight.count
        wide(_log, why, deliveries=batch.size, queue=batch.queue, seconds=seconds, in_flight=under_way)

    def _run_twice(self, batch: RawBatch, channel: DeliveryChannel, turn: Turn) -> None:
        orphans = self._run_once(batch, channel, turn, patient=True)
        if orphans is not None:
            # Not as a new message for later: each crash of a worker must count against the one the broker knows, or
            # a batch that kills every worker would never reach its delivery limit.
            gevent.sleep(ORPHAN_LOOK_S)
            self._run_once(RawBatch.read(orphans.encode()), channel, turn)

    def _run_once(
        self, batch: RawBatch, channel: DeliveryChannel, turn: Turn, *, patient: bool = False
    ) -> Batch | None:
        """Returns what another worker has or had, if ``patient``."""
        policy = self._policies[channel.name]
        gated = policy.sort(batch)
        delayed = policy.delay(batch, gated)
        part = _Part(channel, policy, gated, turn)
        orphans = self._run_gated(part, gated.batch, patient) if gated.batch is not None else None
        # What was sent is let go before the wait, and its memory is the next batch's: two dozen batches with all they
        # were made into are more than a CPU's cache holds.
        del gated, part
        turn.prepared()
        turn.narrow(0)
        for whole, ended in delayed():
            finish(whole, ended, self._stores, self._publisher)
        return orphans

    def _run_gated(self, part: _Part, batch: Batch, patient: bool) -> Batch | None:
        content = self._content.current
        work, early = work_of(batch, content), dict[str, Draft]()

        def render() -> None:
            early.update(render_early(part.channel, work, content, part.gated.endpoints))

        ledger = self._stores.ledger
        claims = claim_all(work, ledger, self._owner, self._lease, patient=patient, meanwhile=render)
        try:
            self._run_claimed(part, batch, content, claims, early)
        except BaseException:
            self._release(claims.work)
            raise
        return batch.narrowed(claims.orphans) if claims.orphans else None

    def _run_claimed(
        self, part: _Part, batch: Batch, content: Content, claims: Claims, early: Mapping[str, Draft]
    ) -> None:
        ready, withheld = self._prepare(part, batch, content, claims, early)
        receipt = Receipt(len(ready) + len(withheld))
        for one in withheld:
            self._recorder.submit(_withheld_record(one, self._owner), receipt)
        part.turn.prepared()
        settled = self._send(part, batch, ready, receipt)
        receipt.wait()
        part.policy.judge(part.gated, ready, settled)
        # Somebody else took a stale one over meanwhile; what follows it is theirs to decide.
        settled = [one for one in settled if one.work.delivery.id not in receipt.stale]
        withheld = [one for one in withheld if one.work.delivery.id not in receipt.stale]
        self._follow_ups.follow(batch, settled, withheld, claims.later)
        finish(batch, claims.ended, self._stores, self._publisher)
        report(batch, claims, settled, withheld)

    def _prepare(
        self, part: _Part, batch: Batch, content: Content, claims: Claims, early: Mapping[str, Draft]
    ) -> tuple[list[Ready], list[Withheld]]:
        """What leaves now or in a moment, and what does not; what comes back later is put into ``claims``."""
        directory = self._directory(claims.work, part.gated.endpoints)
        work, too_many = self._sift(claims.work, directory, now())
        work, delayed = self._rate_limits.pace(part.channel, work, directory, batch.priority, now())
        self._delay(delayed, claims)
        with self._time_slices.turn(urgent=batch.priority is Priority.HIGH) as pause:
            prepared = prepare(part.channel, work, content, directory, pause, early=early)
        ready = [one for one in prepared if isinstance(one, Ready)]
        return ready, [one for one in prepared if isinstance(one, Withheld)] + too_many

    def _send(self, part: _Part, batch: Batch, ready: Sequence[Ready], receipt: Receipt) -> list[Settled]:
        def meanwhile(answered: Sequence[Settled]) -> None:
            part.turn.narrow(len(ready) - len(answered))
            # At once: who asks for time would be asked again by every batch until the breakers know.
            part.policy.judge(part.gated, ready, answered)

        def leave(late: Settled) -> Receipt:
            return part.policy.leaving(batch, part.gated)(late)

        settled = self._sender.send(part.channel, ready, receipt, leave, meanwhile, handicap=handicap_of(batch.queue))
        part.policy.copy_left_behind(batch, ready, settled)
        part.policy.sent()
        return settled

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
        keys = [key for person in known.values() for key in _keys_of(person)]
        suppressed = (
            retry_while_down(lambda: self._stores.suppressions.get_many(keys), "read suppressions") if keys else {}
        )
        return Directory(endpoints, known, suppressed)


def _keys_of(person: Recipient) -> Iterator[str]:
    """Under which something may be known against writing to them, whatever the way."""
    if person.email:
        yield from suppression_keys(person.email)
    for kind, at in person.contacts:
        yield recipient_key(contact_identity(kind, at))


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
