"""`Operator`: what people do with failures: list, show, count first, replay at a rate, discard, rebuild the index."""

from __future__ import annotations

import math
import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from celery import Celery

from notifier import metrics
from notifier.domain import topology
from notifier.domain.batch import Batch
from notifier.domain.cloudevents import BATCH, STRUCTURED
from notifier.domain.encoding import EncodedBatch, encode_batch
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent
from notifier.errors import NotFound
from notifier.failures.dead_letters import DeadLetters
from notifier.failures.gathering import gathered
from notifier.failures.lifting import Lifting
from notifier.failures.publishing import Publishing
from notifier.failures.redrive import Redrive, Visitor, Walked
from notifier.failures.windows import WINDOW
from notifier.logs import get, wide
from notifier.storage.ledger import Ledger
from notifier.storage.parked import ParkedFilter, ParkedIndex, ParkedPage
from notifier.storage.recipients import Recipients
from notifier.storage.suppressions import Suppressions

_log = get("failures")

#: AMQP short strings have 255 bytes; event types are ASCII in practice, and the intake queue takes any key.
ROUTING_KEY_LIMIT = 60
#: Deliveries that are reopened in one round trip.
REOPEN_CHUNK = 1000
#: Seconds a walk is ours before others may think that we died; renewed with every window.
WALK_LEASE_S = 30.0
#: Seconds between looks whether somebody else's walk has ended.
WALK_LOOK_S = 0.1

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a replay or discard did, or would do."""

    chosen: int
    """Entries the filter matched in the index."""
    done: int = 0
    already_sent: int = 0
    """Entries whose delivery had been sent or queued meanwhile; they were dropped from the queue, not sent again."""
    missing: int = 0
    """Entries the index knew and no queue held: somebody else took them."""
    remaining: int = 0
    """Entries that were not reached in the time that was given."""
    again_after: float = 0.0
    """Seconds after which the next of these may be sent at the rate that was asked for."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A payload that was not found in the time that was given."""

    messages: int
    """Of its queue that were not looked at."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What was published: the message as it came, or what travels with a delivery."""

    content_type: str
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str | None:
        """The body, when it is one."""
        try:
            return self.body.decode("utf-8")
        except UnicodeDecodeError:
            return None

    @property
    def base64(self) -> str | None:
        """The body, when it is no text."""
        return b64encode(self.body).decode("ascii") if self.text is None else None

    @classmethod
    def of(cls, message: ParkedBatch | ParkedEvent) -> Payload:
        """Of one entry."""
        if isinstance(message, ParkedEvent):
            return cls(message.content_type, {n: str(v) for n, v in message.headers.items()}, message.body)
        events = [event.published for event in message.batch.events]
        if len(events) == 1:
            return cls(STRUCTURED, {}, events[0])
        return cls(BATCH, {}, b"[" + b",".join(events) + b"]")


class Operator:
    """One per API process or CLI command."""

    def __init__(
        self, app: Celery, ledger: Ledger, index: ParkedIndex, suppressions: Suppressions, recipients: Recipients
    ) -> None:
        self._app = app
        self._ledger = ledger
        self._index = index
        self._lifting = Lifting(suppressions, recipients)

    def search(self, chosen: ParkedFilter, *, limit: int = 50, after: str = "") -> ParkedPage:
        """A page of what is parked, newest first."""
        return self._index.search(chosen, limit=limit, after=after)

    def show(self, identity: str) -> Parked:
        """One entry. Raises `NotFound`."""
        found = self._index.get(identity)
        if found is None:
            raise NotFound(f"{identity} is not in a failure queue")
        return found

    def look(self, identity: str, seconds: float) -> Payload | Unseen:
        """What was published for an entry; whoever shows it says who looked. Raises `NotFound`.

        Its queue is walked until it is found, because looking must not eat a message's delivery limit; after about
        ``seconds`` that ends, and the next call goes on from there.
        """
        entry = self.show(identity)
        finding = Finding(identity, entry.queue)
        ends = time.monotonic() + seconds
        walked = self._walk(
            entry.queue, finding, ends, enough=lambda: finding.found is not None or time.monotonic() > ends
        )
        if finding.found is not None:
            return Payload.of(finding.found)
        if walked.whole:
            raise NotFound(f"{identity} is not in {entry.queue} any more: somebody took it, or moves it just now")
        return Unseen(walked.remaining)

    def payload(self, identity: str) -> Payload:
        """As `look`, for whoever has all the time it takes."""
        looked = self.look(identity, math.inf)
        assert isinstance(looked, Payload)  # noqa: S101 - only time that is up leaves something unseen
        return looked

    def unmatched(self) -> list[tuple[str, int]]:
        """Types of events no rule wanted, with how many came."""
        return self._ledger.unmatched()

    def counts(self) -> dict[tuple[str, str], int]:
        """(queue, cause) → how many."""
        return self._index.counts()

    def unindexed(self) -> dict[str, int]:
        """Queue → messages the broker holds beyond what the index knows, such as dead letters no consumer took yet."""
        indexed: dict[str, int] = {}
        for (queue, _), count in self._index.counts().items():
            indexed[queue] = indexed.get(queue, 0) + count
        depths = Redrive(self._app).depths()
        return {q: depth - indexed.get(q, 0) for q, depth in depths.items() if depth > indexed.get(q, 0)}

    def ids(self, chosen: ParkedFilter) -> list[str]:
        """Ids of every entry a filter matches, newest first."""
        return list(self._index.ids(chosen))

    def count(self, chosen: ParkedFilter) -> int:
        """How many entries a filter matches: shown before anything is done."""
        return self._index.count(chosen)

    def replay(
        self,
        chosen: ParkedFilter,
        *,
        rate: float = 0,
        seconds: float = math.inf,
        progress: Progress = lambda d, t: None,
    ) -> Summary:
        """Send the chosen entries again, at most ``rate`` a second (0 is no limit); what was sent stays sent.

        Ends after about ``seconds``, with what remains.

        An address that was suppressed because this very delivery bounced is written to again: asking for the replay
        says that the cause is gone. Every other part of its suppression stays, and so does a bounce that came later.
        """
        action = Replay(self._ledger, self._lifting, _Pace(rate))
        return self._redrive(chosen, action, seconds, progress)

    def discard(
        self, chosen: ParkedFilter, *, seconds: float = math.inf, progress: Progress = lambda d, t: None
    ) -> Summary:
        """Drop the chosen entries for good; the ledger keeps that they failed. ``seconds``: see `replay`."""
        return self._redrive(chosen, Discard(), seconds, progress)

    def reindex(self, *, progress: Progress = lambda d, t: None) -> int:
        """Rebuild the index from the queues themselves; returns the entries found."""
        Redrive(self._app).park_dead_letters(DeadLetters(self._ledger, self._index))
        found = 0
        for queue in topology.FAILURE_QUEUES:
            before = self._index.ids(ParkedFilter(queue=queue))
            walked = self._walk(queue, Keep(), math.inf, reread=True, progress=progress)
            # What was parked during the walk is in the index and was not seen: it stays.
            self._index.remove(sorted(before.keys() - {entry.id for entry in walked.entries}))
            self._index.add(walked.entries)
            found += len(walked.entries)
        return found

    def _walk(
        self,
        queue: str,
        visitor: Visitor,
        ends: float,
        *,
        reread: bool = False,
        enough: Callable[[], bool] = lambda: False,
        at_most: int = WINDOW,
        progress: Progress = lambda d, t: None,
    ) -> Walked:
        """`Redrive.walk`, one at a time for each queue: another one's window would look as if it were not there."""
        token = secrets.token_hex(8)
        while not self._index.begin_walk(queue, token, WALK_LEASE_S):
            if time.monotonic() > ends:
                return Walked(remaining=max(1, Redrive(self._app).depths()[queue]))
            time.sleep(WALK_LOOK_S)

        def go_on(done: int, total: int) -> None:
            self._index.begin_walk(queue, token, WALK_LEASE_S)
            progress(done, total)

        try:
            redrive = Redrive(self._app, progress=go_on)
            return redrive.walk(queue, visitor, reread=reread, enough=enough, at_most=at_most)
        finally:
            self._index.end_walk(queue, token)

    def _redrive(self, chosen: ParkedFilter, action: Replay | Discard, seconds: float, progress: Progress) -> Summary:
        ends = time.monotonic() + seconds

        def is_late() -> bool:
            return time.monotonic() + action.again_after > ends

        wanted = self._index.ids(chosen)
        queues = {queue: {i for i, q in wanted.items() if q == queue} for queue in topology.FAILURE_QUEUES}
        missing = remaining = 0
        for queue, ids in queues.items():
            if ids and is_late():
                remaining += len(ids)
            elif ids:
                action.ids = ids
                before = self._index.search(ParkedFilter(ids=tuple(sorted(ids))), limit=len(ids)).entries
                walked = self._walk(queue, action, ends, enough=is_late, at_most=action.at_most, progress=progress)
                unseen = ids - {entry.id for entry in walked.entries}
                # What a replay cannot send is still in its queue, and what failed again meanwhile is there anew: both
                # must stay visible, as what was not reached.
                kept = {entry.id for entry in walked.entries if not action.visit(entry)}
                if walked.whole:
                    missing += len(unseen)
                else:
                    remaining += len(unseen)
                    kept |= unseen
                self._index.drop([entry for entry in before if entry.id not in kept])
        again_after = action.again_after if remaining else 0.0
        summary = Summary(len(wanted), action.done, action.already_sent, missing, remaining, again_after)
        wide(_log, f"failures.{action.verb}", chosen=summary.chosen, done=summary.done)
        return summary


class Keep:
    """A visitor that takes nothing: every message goes to the tail."""

    def visit(self, parked: Parked) -> bool:  # noqa: ARG002 - the visitor's signature
        """Nothing is chosen."""
        return False

    def take(self, channel: Publishing, messages: Sequence[ParkedBatch | ParkedEvent]) -> None:
        """Never called."""


class Finding:
    """A visitor that looks for one entry; it goes to the tail like all others, in a message of its own."""

    def __init__(self, identity: str, queue: str) -> None:
        self.found: ParkedBatch | ParkedEvent | None = None
        self._identity = identity
        self._queue = queue

    def visit(self, parked: Parked) -> bool:
        """The first with this id."""
        return parked.id == self._identity and self.found is None

    def take(self, channel: Publishing, messages: Sequence[ParkedBatch | ParkedEvent]) -> None:
        """Keep a copy."""
        for message in messages:
            channel.park(self._queue, message)
            self.found = message


class Discard:
    """A visitor that drops what was chosen."""

    verb = "discarded"
    again_after = 0.0
    at_most = WINDOW

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.done = 0
        self.already_sent = 0

    def visit(self, parked: Parked) -> bool:
        """Chosen by id."""
        return parked.id in self.ids

    def take(self, channel: Publishing, messages: Sequence[ParkedBatch | ParkedEvent]) -> None:  # noqa: ARG002
        """Nothing follows: they are acknowledged."""
        for message in messages:
            self.done += len(message.parked)
            metrics.DISCARDED.labels(message.parked[0].queue).inc(len(message.parked))


class Replay:
    """A visitor that sends what was chosen back to where it came from."""

    verb = "replayed"

    def __init__(self, ledger: Ledger, lifting: Lifting, pace: _Pace) -> None:
        self.ids: set[str] = set()
        self.done = 0
        self.already_sent = 0
        self._ledger = ledger
        self._lifting = lifting
        self._pace = pace

    @property
    def again_after(self) -> float:
        """Seconds until the next may go."""
        return self._pace.due

    @property
    def at_most(self) -> int:
        """Messages of a window: those of about a second."""
        return self._pace.a_second

    def visit(self, parked: Parked) -> bool:
        """Chosen by id; a task message nobody can read stays where it is until it is discarded."""
        unreadable = parked.id.startswith("raw_") and parked.queue != topology.FAILED_INTAKE
        return parked.id in self.ids and not unreadable

    def take(self, channel: Publishing, messages: Sequence[ParkedBatch | ParkedEvent]) -> None:
        """Publish them again."""
        self._pace.wait(sum(len(message.parked) for message in messages))
        for message in messages:
            if isinstance(message, ParkedEvent):
                self._replay_event(channel, message)
        self._replay_batches(channel, [message for message in messages if isinstance(message, ParkedBatch)])
        for message in messages:
            metrics.REPLAYED.labels(message.parked[0].queue).inc(len(message.parked))

    def _replay_event(self, channel: Publishing, message: ParkedEvent) -> None:
        channel.publish(
            topology.EVENTS_EXCHANGE,
            (message.parked[0].event_type or "replayed")[:ROUTING_KEY_LIMIT],
            message.body,
            content_type=message.content_type,
            headers=message.headers,
            priority=topology.EVENT_PRIORITY,
            # A rule's `expires` counts from when it came, not from this replay: what is late stays late.
            published=message.parked[0].parked_at,
        )
        self.done += 1

    def _replay_batches(self, channel: Publishing, messages: Sequence[ParkedBatch]) -> None:
        ids = list(dict.fromkeys(d.id for message in messages for d in message.batch.deliveries))
        opened = self._reopened(ids)
        again = [one for message in messages if (one := _again(message, opened)) is not None]
        for message, batch in again:
            self._lifting.lift(message, batch.deliveries)
        # Before they are published: whoever sends them says what became of them then.
        digests = [d.digest for _, batch in again for d in batch.deliveries if d.digest is not None]
        self._ledger.rejoin([item for digest in digests for item in digest.deliveries])
        for sent in _sent_as(again):
            channel.send(sent)
        self.done += len(opened)
        self.already_sent += len(ids) - len(opened)

    def _reopened(self, ids: Sequence[str]) -> set[str]:
        chunks = [ids[begin : begin + REOPEN_CHUNK] for begin in range(0, len(ids), REOPEN_CHUNK)]
        answers = [is_open for chunk in chunks for is_open in self._ledger.reopen(chunk)]
        return {identity for identity, is_open in zip(ids, answers, strict=True) if is_open}


def _again(message: ParkedBatch, opened: set[str]) -> tuple[ParkedBatch, Batch] | None:
    """What is sent of a message: as if it had never been tried."""
    again = [d.model_copy(update={"attempt": 0}) for d in message.batch.deliveries if d.id in opened]
    return (message, message.batch.narrowed(again)) if again else None


def _sent_as(again: Sequence[tuple[ParkedBatch, Batch]]) -> list[EncodedBatch]:
    """What may have taken workers down travels alone, so that it takes nobody with it."""
    alone = [any(entry.cause is Cause.POISON for entry in message.parked) for message, _ in again]
    return [
        *(encode_batch(batch) for (_, batch), is_alone in zip(again, alone, strict=True) if is_alone),
        *gathered(batch for (_, batch), is_alone in zip(again, alone, strict=True) if not is_alone),
    ]


class _Pace:
    """Spreads entries over time so that a replay cannot flood what has just recovered."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate if rate > 0 else 0.0
        self._next = time.monotonic()
        self.a_second = max(1, min(int(rate), WINDOW)) if rate > 0 else WINDOW
        """Messages that may go in about a second."""

    @property
    def due(self) -> float:
        """Seconds until the next may go."""
        return max(0.0, self._next - time.monotonic())

    def wait(self, entries: int) -> None:
        """Sleep until ``entries`` more may go."""
        if not self._interval:
            return
        time.sleep(self.due)
        self._next = max(time.monotonic(), self._next) + entries * self._interval


def by_ids(ids: Sequence[str]) -> ParkedFilter:
    """The filter that names entries one by one."""
    return ParkedFilter(ids=tuple(ids))
