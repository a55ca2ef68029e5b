"""`Replay`: the visitor that sends what was chosen back to where it came from, at the rate that was asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from notifier import metrics
from notifier.domain import topology
from notifier.domain.batch import Batch
from notifier.domain.encoding import EncodedBatch, encode_batch
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent
from notifier.failures.gathering import Lot, gathered
from notifier.failures.lifting import Lifting
from notifier.failures.meeting import Needs
from notifier.failures.publishing import Publishing
from notifier.failures.redrive import Part, Sparing
from notifier.failures.windows import WINDOW
from notifier.storage.ledger import Ledger

#: AMQP short strings have 255 bytes; event types are ASCII in practice, and the intake queue takes any key.
ROUTING_KEY_LIMIT = 60
#: Deliveries that are reopened in one round trip.
REOPEN_CHUNK = 1000


class Replay(Sparing):
    """A visitor that sends what was chosen back to where it came from."""

    verb = "replayed"
    needs = Needs.LOT

    def __init__(self, ledger: Ledger, lifting: Lifting, pace: Pace) -> None:
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

    def take_unread(self, channel: Publishing, messages: Sequence[Part]) -> None:
        """Publish them again."""
        self._pace.wait(sum(len(part.entries) for part in messages))
        batches: list[ParkedBatch | Lot] = []
        for part in messages:
            message = part.met.lot or part.message
            if isinstance(message, ParkedEvent):
                self._replay_event(channel, message)
            else:
                batches.append(message)
        self._replay_batches(channel, batches)
        for part in messages:
            metrics.REPLAYED.labels(part.entries[0].queue).inc(len(part.entries))

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

    def _replay_batches(self, channel: Publishing, messages: Sequence[ParkedBatch | Lot]) -> None:
        ids = list(dict.fromkeys(identity for message in messages for identity in _ids(message)))
        opened = self._reopened(ids)
        lots = [_open_ones(message, opened) for message in messages if isinstance(message, Lot)]
        read = [message for message in messages if isinstance(message, ParkedBatch)]
        again = [one for message in read if (one := _again(message, opened)) is not None]
        for message, batch in again:
            self._lifting.lift(message, batch.deliveries)
        # Before they are published: whoever sends them says what became of them then.
        digests = [d.digest for _, batch in again for d in batch.deliveries if d.digest is not None]
        self._ledger.rejoin([item for digest in digests for item in digest.deliveries])
        for sent in _sent_as(again, lots):
            channel.send(sent)
        self.done += len(opened)
        self.already_sent += len(ids) - len(opened)

    def _reopened(self, ids: Sequence[str]) -> set[str]:
        chunks = [ids[begin : begin + REOPEN_CHUNK] for begin in range(0, len(ids), REOPEN_CHUNK)]
        answers = [is_open for chunk in chunks for is_open in self._ledger.reopen(chunk)]
        return {identity for identity, is_open in zip(ids, answers, strict=True) if is_open}


def _ids(message: ParkedBatch | Lot) -> list[str]:
    return [one.id for one in (message.waiting if isinstance(message, Lot) else message.batch.deliveries)]


def _open_ones(lot: Lot, opened: set[str]) -> Lot:
    return replace(lot, waiting=[one for one in lot.waiting if one.id in opened])


def _again(message: ParkedBatch, opened: set[str]) -> tuple[ParkedBatch, Batch] | None:
    """What is sent of a message: as if it had never been tried."""
    batch = message.batch
    open_ones = [delivery for delivery in batch.deliveries if delivery.id in opened]
    if not open_ones:
        return None
    if len(open_ones) < len(batch.deliveries):
        batch = batch.narrowed(open_ones)
    again = [d.model_copy(update={"attempt": 0}) if d.attempt else d for d in batch.deliveries]
    return message, batch.model_copy(update={"deliveries": again})


def _sent_as(again: Sequence[tuple[ParkedBatch, Batch]], lots: Sequence[Lot]) -> list[EncodedBatch]:
    """What may have taken workers down travels alone, so that it takes nobody with it."""
    alone = [any(entry.cause is Cause.POISON for entry in message.parked) for message, _ in again]
    return [
        *(encode_batch(batch) for (_, batch), is_alone in zip(again, alone, strict=True) if is_alone),
        *gathered([*lots, *(batch for (_, batch), is_alone in zip(again, alone, strict=True) if not is_alone)]),
    ]


class Pace:
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
