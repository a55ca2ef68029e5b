"""`DeadLetters`: what RabbitMQ dead-lettered by itself → what is to be parked, with the ledger told first.

The order is a worker's: claim → record → *park, confirmed* → *index* → *acknowledge*; the last three belong to whoever
took the message. Every step may be done twice, so whoever is killed between two of them is made good by the next.
Synchronous and without Celery: the consumer calls it in a thread, `notifier failures reindex` directly.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from notifier import metrics
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, DeliveryRecord, Status, went_with_digest, with_digest
from notifier.domain.identity import Identity
from notifier.domain.ids import raw_id
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent, shelved, told, unplanned_of
from notifier.domain.rule import Collecting
from notifier.domain.topology import FAILED_INTAKE, FAILURE_QUEUES
from notifier.errors import NotifierError
from notifier.failures.reading import read_message
from notifier.logs import get, wide
from notifier.storage.claims import claim_request, item_requests, person_of
from notifier.storage.ledger import Busy, Claimed, Done, Ledger, NotYet, Record
from notifier.storage.parked import ParkedFilter, ParkedIndex

_log = get("failures")

#: Seconds a claim is held for recording one status; what a killed consumer had claimed waits this long.
LEASE_S = 5.0
#: Seconds between looks at a delivery that a worker has, at the most.
LOOK_S = 10.0
#: The ledger keeps milliseconds.
_ROUNDING_S = 0.001


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message of the queue `topology.DEAD_LETTERS`."""

    routing_key: str
    """The failure queue its work queue names."""
    body: bytes
    headers: Mapping[str, Any]
    content_type: str

    @property
    def queue(self) -> str:
        """The failure queue it belongs to; a key that names none was not written by our queues."""
        return self.routing_key if self.routing_key in FAILURE_QUEUES else FAILED_INTAKE


@dataclass(frozen=True, slots=True)
class Examined:
    """What to do with a dead letter."""

    parks: tuple[ParkedBatch | ParkedEvent, ...] = ()
    """To publish, each with a confirm, then to `DeadLetters.index`."""
    again_in: float = 0.0
    """Seconds after which to examine it again, because a worker has some of its deliveries; 0 is done."""


class DeadLetters:
    """One per process; several may work at once, each on messages of its own."""

    def __init__(self, ledger: Ledger, index: ParkedIndex) -> None:
        self._ledger = ledger
        self._index = index
        self._owner = f"dead-letters/{secrets.token_hex(4)}"

    def examine(self, letter: DeadLetter) -> Examined:
        """Raises `StorageUnavailable`; the letter may then be examined again."""
        try:
            examined = self._examine(letter)
        except NotifierError:
            raise
        except Exception as error:
            # Whatever nobody foresaw must not come back for ever: it is parked as it is, where people see it.
            _log.exception("dead_letter.not_examined")
            examined = Examined((_as_it_is(letter, f"could not be examined: {type(error).__name__}: {error}"),))
        return replace(examined, parks=tuple(shelved(parked) for parked in examined.parks))

    def _examine(self, letter: DeadLetter) -> Examined:
        message = read_message(letter.queue, letter.body, letter.headers, letter.content_type)
        if isinstance(message, ParkedEvent):
            return Examined((self._known_before(message),))
        if all(entry.cause not in (Cause.POISON, Cause.DEAD_LETTERED) for entry in message.parked):
            # An earlier version's worker parked it this way: the ledger knows.
            return Examined((message,))
        return self._examine_batch(message)

    def index(self, parked: ParkedBatch | ParkedEvent) -> None:
        """After it was parked with a confirm: from now on operators see it."""
        if events := [unplanned_of(entry) for entry in parked.parked if entry.queue == FAILED_INTAKE and entry.event]:
            self._ledger.unplanned(events)
        self._index.add(parked.parked)
        for entry in parked.parked:
            metrics.PARKED.labels(entry.queue.removeprefix("failed-"), entry.cause).inc()
        first = parked.parked[0]
        wide(
            _log,
            "dead_letter.parked",
            queue=first.queue,
            cause=first.cause,
            reason=first.reason,
            ids=[entry.id for entry in parked.parked],
        )

    def _known_before(self, message: ParkedEvent) -> ParkedEvent:
        """Intake indexes what it leaves to the broker itself, with a better reason than the broker has."""
        before = self._index.search(ParkedFilter(ids=(message.parked[0].id,)), limit=1).entries
        return replace(message, parked=before) if before else message

    def _examine_batch(self, message: ParkedBatch) -> Examined:
        batch, entries = message.batch, {entry.id: entry for entry in message.parked}
        records = self._records(batch.deliveries)
        open_ones = [d for d in batch.deliveries if not _is_collected(batch, records.get(d.id))]
        mine: list[tuple[Delivery, Claimed]] = []
        parks: list[Parked] = []
        ended: list[DeliveryRecord] = []
        waits = [0.0]
        for delivery, claim in zip(open_ones, self._claim(batch, open_ones), strict=True):
            record = records.get(delivery.id)
            match claim:
                case Claimed():
                    mine.append((delivery, claim))
                case Busy():
                    waits.append(min(max(claim.retry_in, 0.1), LOOK_S))
                case NotYet() if record is not None and delivery.attempt >= record.tries:
                    # Held for later: this may be its only message, and a replay sends it.
                    parks.append(entries[delivery.id])
                case Done(status=Status.REFUSED | Status.EXHAUSTED) if record and not went_with_digest(record.reason):
                    ended.append(record)
        parks += [_as_recorded(entries[record.id], record) for record in self._unparked(ended)]
        parks += self._refuse(batch, mine, entries)
        if not parks:
            return Examined(again_in=max(waits))
        parked = {entry.id: entry for entry in parks}
        deliveries = [delivery for delivery in batch.deliveries if delivery.id in parked]
        return Examined((ParkedBatch(batch.narrowed(deliveries), tuple(parked[d.id] for d in deliveries)),), max(waits))

    def _records(self, deliveries: Sequence[Delivery]) -> dict[str, DeliveryRecord]:
        found = self._ledger.deliveries([delivery.id for delivery in deliveries])
        return {record.id: record for record in found if record is not None}

    def _claim(self, batch: Batch, deliveries: Sequence[Delivery]) -> list[Claimed | Done | Busy | NotYet]:
        if not deliveries:
            return []
        self._ledger.heartbeat(self._owner, LEASE_S)
        requests = [claim_request(batch, delivery) for delivery in deliveries]
        return self._ledger.claim(requests, owner=self._owner, lease=LEASE_S)

    def _refuse(
        self, batch: Batch, mine: Sequence[tuple[Delivery, Claimed]], entries: Mapping[str, Parked]
    ) -> list[Parked]:
        """Tell the ledger; whom it does not believe belongs to a worker that was faster, and decides."""
        if not mine:
            return []
        written = self._ledger.record(
            [
                Record(d.id, claim.fence, Status.REFUSED, entries[d.id].cause, claimed=claim_request(batch, d))
                for d, claim in mine
            ]
        )
        refused = [(d, claim) for (d, claim), was_written in zip(mine, written, strict=True) if was_written]
        for delivery, _ in refused:
            self._refuse_items(batch, delivery, entries[delivery.id].cause)
        return [replace(entries[d.id], attempts=claim.tries, parked_at=time.time()) for d, claim in refused]

    def _refuse_items(self, batch: Batch, digest: Delivery, cause: Cause) -> None:
        """Items wait for their digest and end with it."""
        if digest.digest is None:
            return
        requests = item_requests(batch, digest, range(len(digest.digest.deliveries)))
        claims = self._ledger.claim(requests, owner=self._owner, lease=LEASE_S)
        reason = with_digest(digest.id, cause)
        self._ledger.record(
            [
                Record(request.delivery.id, claim.fence, Status.REFUSED, reason, person=person_of(request.delivery.to))
                for request, claim in zip(requests, claims, strict=True)
                if isinstance(claim, Claimed)
            ]
        )

    def _unparked(self, ended: Sequence[DeliveryRecord]) -> list[DeliveryRecord]:
        """Those whose parking somebody did not finish: its last step is the index, so an entry must be newer."""
        if not ended:
            return []
        there = self._index.search(ParkedFilter(ids=tuple(r.id for r in ended)), limit=len(ended)).entries
        parked = {entry.id: entry.parked_at for entry in there}
        # An older entry is of the life before a replay, which takes it out of the index only when it ends.
        return [record for record in ended if parked.get(record.id, 0.0) < record.updated - _ROUNDING_S]


def _as_it_is(letter: DeadLetter, reason: str) -> ParkedEvent:
    whose = told(Identity.found(letter.headers, letter.body)) if letter.queue == FAILED_INTAKE else {}
    entry = Parked(
        id=raw_id(letter.body),
        queue=letter.queue,
        cause=Cause.POISON,
        reason=reason[:300],
        parked_at=time.time(),
        **whose,
    )
    return ParkedEvent((entry,), letter.body, letter.content_type, dict(letter.headers))


def _is_collected(batch: Batch, record: DeliveryRecord | None) -> bool:
    """An item of a digest that is in its window already: it goes out with its digest."""
    return batch.channel is Collecting.DIGEST and record is not None and record.status is Status.HELD


def _as_recorded(entry: Parked, record: DeliveryRecord) -> Parked:
    """The entry of a delivery whose end was recorded before: by a worker that died then, or by one of us."""
    last = record.attempts[-1] if record.attempts else None
    try:
        cause = Cause.EXHAUSTED if record.status is Status.EXHAUSTED else Cause(record.reason)
    except ValueError:
        cause = Cause.REFUSED
    return replace(
        entry,
        cause=cause,
        reason=entry.reason if cause is entry.cause else (last.reply if last else record.reason)[:300],
        code=last.code if last else "",
        attempts=record.tries,
        template=record.template,
        parked_at=time.time(),
    )
