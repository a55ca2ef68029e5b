"""`Dispatch.run`: the fixed procedure for one batch: claim → gate and render → send → record → retry or park.

The order of its last steps is the promise: what happened is in the ledger and what follows is confirmed by the broker
before the task returns, and only then does Celery acknowledge the batch.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from notifier import metrics
from notifier.domain.batch import Batch
from notifier.domain.delivery import Attempt, Delivery, EndpointRef, Mailbox, RecipientRef, Status
from notifier.domain.endpoint import EndpointState
from notifier.domain.ids import recipient_key
from notifier.domain.outcome import Cause, clip
from notifier.domain.parked import Parked
from notifier.domain.rule import Rule
from notifier.errors import StorageUnavailable
from notifier.logs import get, wide
from notifier.rules.content import Content
from notifier.rules.live import Live
from notifier.storage.endpoints import Endpoints
from notifier.storage.ledger import Busy, Claim, Claimed, ClaimRequest, Done, Ledger, NotYet, Record
from notifier.storage.parked import ParkedIndex
from notifier.storage.recipients import Recipients
from notifier.storage.records import masked
from notifier.storage.suppressions import Suppressions
from notifier.worker.deciding import Decision, Park, Retry
from notifier.worker.following import Publishes, by_delay, by_queue
from notifier.worker.holding import hold
from notifier.worker.observing import observe
from notifier.worker.preparing import Directory, Preparer, Ready, Withheld, Work
from notifier.worker.recorder import Receipt, Recorder, now
from notifier.worker.sending import Sender, Settled

#: Seconds a claim is ours beyond the longest batch: its records may have to wait for Redis. A worker that dies gives
#: its claims up earlier, when its liveness key is gone.
LEASE_SLACK_S = 60.0
#: Seconds between looks at a delivery somebody else is sending, at the most.
BUSY_LOOK_S = 30

_log = get("worker")


@dataclass(slots=True)
class Claims:
    """How a batch's claims came out."""

    work: list[Work] = field(default_factory=list)
    later: list[tuple[Delivery, int]] = field(default_factory=list)
    """Deliveries to look at again, with the seconds to wait: another worker has them, or their time has not come."""
    done: int = 0


@dataclass(frozen=True, slots=True)
class Stores:
    """The parts of Redis the worker uses."""

    ledger: Ledger
    endpoints: Endpoints
    recipients: Recipients
    suppressions: Suppressions
    parked: ParkedIndex


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
        publisher: Publishes,
        owner: str,
    ) -> None:
        self._content = content
        self._stores = stores
        self._preparer = preparer
        self._sender = sender
        self._recorder = recorder
        self._publisher = publisher
        self._owner = owner
        self._lease = sender.longest_batch + LEASE_SLACK_S

    def run(self, batch: Batch) -> None:
        """Deliver a batch. Returns when everything is recorded and confirmed; raises `Unavailable` to hand it back."""
        content = self._content.current
        claims = self._claim(batch, content)
        try:
            self._run_claimed(batch, content, claims)
        except BaseException:
            self._release(claims.work)
            raise

    def _run_claimed(self, batch: Batch, content: Content, claims: Claims) -> None:
        directory = self._directory(claims.work)
        ready, withheld = self._prepare(claims.work, content, directory)
        receipt = Receipt(len(ready) + len(withheld))
        for one in withheld:
            self._recorder.submit(_withheld_record(one, self._owner), receipt)
        settled = self._sender.send(ready, receipt)
        receipt.wait()
        settled = [one for one in settled if one.work.delivery.id not in receipt.stale]
        withheld = [one for one in withheld if one.work.delivery.id not in receipt.stale]
        self._follow(batch, settled, withheld, claims.later)
        self._report(batch, claims, settled, withheld)

    def _release(self, work: Sequence[Work]) -> None:
        """Give claims up with the batch, so that whoever gets it next need not wait for the lease to end."""
        try:
            self._stores.ledger.release([(one.delivery.id, one.claim.fence) for one in work])
        except StorageUnavailable as error:
            wide(_log, "claims.kept", level=logging.WARNING, error=str(error), until_s=self._lease)

    def _claim(self, batch: Batch, content: Content) -> Claims:
        requests = [claim_request(batch, delivery) for delivery in batch.deliveries]
        answers = claim(self._stores.ledger, requests, self._owner, self._lease)
        claims = Claims()
        for request, answer in zip(requests, answers, strict=True):
            self._sort(batch, request, answer, content, claims)
        return claims

    def _sort(self, batch: Batch, request: ClaimRequest, answer: Claim, content: Content, claims: Claims) -> None:
        delivery = request.delivery
        match answer:
            case Claimed():
                items = tuple(batch.events[i] for i in delivery.digest.items) if delivery.digest else ()
                rule = content.catalog.rule(delivery.rule) or _missing(delivery.rule, batch)
                claims.work.append(Work(request, batch.events[delivery.event], rule, answer, items))
            case Busy():
                claims.later.append((delivery, max(1, math.ceil(min(answer.retry_in, BUSY_LOOK_S)))))
            case NotYet():
                claims.later.append((delivery, max(1, math.ceil(answer.retry_in))))
            case Done():
                claims.done += 1

    def _directory(self, work: Sequence[Work]) -> Directory:
        endpoints = sorted({w.delivery.to.endpoint for w in work if isinstance(w.delivery.to, EndpointRef)})
        people = sorted({w.delivery.to.recipient for w in work if isinstance(w.delivery.to, RecipientRef)})
        return Directory(
            hold(lambda: self._stores.endpoints.get_many(endpoints), "read endpoints") if endpoints else {},
            hold(lambda: self._stores.recipients.get_many(people), "read recipients") if people else {},
        )

    def _prepare(
        self, work: Sequence[Work], content: Content, directory: Directory
    ) -> tuple[list[Ready], list[Withheld]]:
        ready: list[Ready] = []
        withheld: list[Withheld] = []
        for one in work:
            if not one.rule.template:
                reason = f"this worker's templates/ has no rule {one.delivery.rule!r}"
                withheld.append(Withheld(one, Status.REFUSED, Cause.RULE_MISSING, Cause.RULE_MISSING, reason))
                continue
            result = self._preparer.prepare(one, content, directory, now())
            if isinstance(result, Ready):
                ready.append(result)
            else:
                withheld.append(result)
        return ready, withheld

    def _follow(
        self,
        batch: Batch,
        settled: Sequence[Settled],
        withheld: Sequence[Withheld],
        later: list[tuple[Delivery, int]],
    ) -> None:
        waits = list(later)
        parks: list[tuple[Delivery, Parked]] = []
        for one in settled:
            match one.decision.follow:
                case Retry(seconds=seconds):
                    tried = one.work.delivery.model_copy(update={"attempt": one.work.claim.tries + 1})
                    waits.append((tried, seconds))
                case Park() as park:
                    parks.append((one.work.delivery, _parked(one.work, park, one.template, tries=1)))
            self._consequences(one.work, one.decision)
        for refused in withheld:
            if refused.cause is not None:
                park = Park(refused.cause, refused.code, refused.cause)
                parks.append((refused.work.delivery, _parked(refused.work, park, refused.template, tries=0)))
        for seconds, delayed in by_delay(batch, waits):
            hold(lambda s=seconds, d=delayed: self._publisher.send(d, after=s), "queue retries")  # type: ignore[misc]
        for queue, group in by_queue(batch, parks):
            hold(lambda q=queue, g=group: self._publisher.park(q, g), "park deliveries")  # type: ignore[misc]
            hold(lambda g=group: self._stores.parked.add(g.parked), "index parked deliveries")  # type: ignore[misc]

    def _consequences(self, work: Work, decision: Decision) -> None:
        to = work.delivery.to
        if decision.status is Status.SENT and work.delivery.digest is not None:
            # *Sent* is written whatever the fence: the items have left with their digest.
            reason = f"in digest {work.delivery.id}"
            items = [Record(item, 0, Status.SENT, reason) for item in work.delivery.digest.deliveries]
            hold(lambda: self._stores.ledger.record(items), "record digest items")
        if decision.suppress and isinstance(to, Mailbox):
            key, code = recipient_key(to.address), decision.attempt.code if decision.attempt else ""
            hold(lambda: self._stores.suppressions.add(key, f"bounced: {code}", now()), "suppress an address")
        if decision.disable_endpoint and isinstance(to, EndpointRef):
            self._disable_endpoint(work, to.endpoint, decision)

    def _disable_endpoint(self, work: Work, endpoint: str, decision: Decision) -> None:
        reason = f"answered {decision.attempt.code if decision.attempt else 'gone'}"
        hold(lambda: self._stores.endpoints.set_state(endpoint, EndpointState.DISABLED, reason), "disable an endpoint")
        event = {
            "specversion": "1.0",
            "id": f"{work.delivery.id}-disabled",
            "source": "/notifier/endpoints",
            "type": "notifier.endpoint.disabled",
            "tenant": work.event.tenant,
            "data": {"endpoint": endpoint, "reason": reason, "delivery": work.delivery.id},
        }
        hold(lambda: self._publisher.publish_event(event), "publish notifier.endpoint.disabled")

    def _report(self, batch: Batch, claims: Claims, settled: Sequence[Settled], withheld: Sequence[Withheld]) -> None:
        observe(batch, settled, withheld)
        counts: dict[str, int] = {}
        for status in [s.decision.status for s in settled] + [w.status for w in withheld]:
            counts[status.value] = counts.get(status.value, 0) + 1
        for status_name, number in counts.items():
            metrics.DELIVERIES.labels(batch.channel, status_name).inc(number)
        for one in settled:
            if one.decision.status is not Status.SENT and one.decision.attempt is not None:
                attempt = one.decision.attempt
                wide(
                    _log,
                    "delivery.attempted",
                    delivery=one.work.delivery.id,
                    rule=one.work.rule.id,
                    status=one.decision.status,
                    attempt=attempt.number,
                    code=attempt.code,
                    seconds=round(attempt.duration, 3),
                    next_try=one.decision.next_try,
                )
        wide(
            _log,
            "batch.delivered",
            queue=batch.queue,
            deliveries=len(batch.deliveries),
            already_done=claims.done,
            later=len(claims.later),
            statuses=counts,
        )


def claim(ledger: Ledger, requests: Sequence[ClaimRequest], owner: str, lease: float) -> list[Claim]:
    """Claim deliveries for this worker, waiting for Redis; one nonce for all tries, or a lost reply would look Busy."""
    nonce = secrets.token_hex(4)
    return hold(lambda: ledger.claim(requests, owner=owner, lease=lease, now=now(), nonce=nonce), "claim deliveries")


def claim_request(batch: Batch, delivery: Delivery) -> ClaimRequest:
    """What the ledger must know to claim one delivery of a batch."""
    event = batch.events[delivery.event]
    return ClaimRequest(
        delivery=delivery,
        channel=batch.channel,
        event=event.key,
        destination=masked(delivery.to),
        recipient_key=recipient_key(delivery.to.address) if isinstance(delivery.to, Mailbox) else None,
    )


def _missing(rule: str, batch: Batch) -> Rule:
    """A rule nobody here knows, recognised by its empty template: a newer release planned it, or it was deleted."""
    return Rule(rule, "", batch.channel, template="", category="", transactional=True)


def _withheld_record(one: Withheld, worker: str) -> Record:
    attempt = None
    if one.cause is Cause.RENDER_FAILED:
        number = one.work.claim.tries + 1
        attempt = Attempt(number, now(), 0.0, "refused", Cause.RENDER_FAILED, clip(one.code), worker)
    return Record(
        id=one.work.delivery.id,
        fence=one.work.claim.fence,
        status=one.status,
        reason=one.reason,
        attempt=attempt,
        next_try=None,
        template=one.template,
        claimed=one.work.request,
    )


def _parked(work: Work, park: Park, template: str, *, tries: int) -> Parked:
    return Parked(
        id=work.delivery.id,
        queue="failed-digest"
        if work.delivery.digest
        else f"failed-{'webhook' if isinstance(work.delivery.to, EndpointRef) else 'email'}",
        cause=park.cause,
        reason=clip(park.reason)[:300],
        parked_at=now(),
        event=work.event.key,
        event_type=work.event.type,
        tenant=work.event.tenant,
        rule=work.rule.id,
        destination=masked(work.delivery.to),
        code=park.code,
        attempts=work.claim.tries + tries,
        template=template,
    )
