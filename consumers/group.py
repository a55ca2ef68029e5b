"""`Group`: the messages that were waiting together, and what became of them. They share round trips, never fates."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from logging import WARNING

import pika

from notifier import logs, metrics
from notifier.domain.event import Event
from notifier.domain.event_status import Other, Unplanned
from notifier.domain.identity import Identity
from notifier.domain.parked import Parked, ParkedEvent
from notifier.rules.planner import Plan

log = logs.get("intake")

#: Event ids and types a log line names; an idle system names every event, and a busy one keeps its lines readable.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Received:
    """A message of `INTAKE_QUEUE` that waits for its acknowledgement."""

    tag: int
    """Delivery tag; valid on its channel only."""
    properties: pika.BasicProperties
    body: bytes
    at: float
    """Loop seconds when it was read."""


@dataclass(slots=True)
class Fanout:
    """An event with more deliveries than a group may hold in memory; its chunks are planned as they are asked for."""

    received: Received
    event: Event
    chunks: Iterator[Plan]
    directory: str = ""
    """Version of the endpoints it was planned with."""
    full: Collection[str] = ()
    """Work queues that were full when it began: its deliveries for them wait, all of them, so none is planned twice."""
    lacking: str = ""
    """The first of these that it needed."""
    endpoints: Sequence[str] | None = None
    """Those that its next chunks are planned for, where they have changed since it began."""
    gone: set[str] = field(default_factory=set)
    """Endpoints it was planned for that nobody sends to any more."""
    told: bool = False
    """Somebody has heard that its id is another event's."""

    def follow(self, endpoints: Sequence[str] | None, gone: Collection[str]) -> None:
        """Its next chunks go to these, and no longer to those."""
        self.endpoints = endpoints
        self.gone = (self.gone | set(gone)) - set(endpoints or ())


@dataclass(frozen=True, slots=True)
class Conflict:
    """An event that came under the id of another one; the first counts."""

    identity: Identity
    first: Other


@dataclass(slots=True)
class Group:
    """What became of some messages; filled step by step by `Intake`."""

    messages: Sequence[Received]
    directory: str = ""
    """Version of the endpoints it was planned with."""
    fanout: Fanout | None = None
    """What it is a chunk of."""
    plans: list[Plan] = field(default_factory=list)
    parked: list[ParkedEvent] = field(default_factory=list)
    fanouts: list[Fanout] = field(default_factory=list)
    oversized: list[Received] = field(default_factory=list)
    """Too large to be copied into ``failed-intake``; the broker moves them there when they are rejected."""
    aside: list[tuple[Received, str]] = field(default_factory=list)
    """Events that need a work queue that is full, with that queue; put aside when this group ends."""
    moved: list[Parked] = field(default_factory=list)
    """How operators see these."""
    finished: list[str] = field(default_factory=list)
    """Keys of events that are completely planned once this group is confirmed."""
    duplicates: int = 0
    unmatched: list[str] = field(default_factory=list)
    """Types of the events no rule wanted."""
    unplanned: list[Unplanned] = field(default_factory=list)
    """What the ledger is told of events that are parked or put aside."""
    conflicts: list[Conflict] = field(default_factory=list)
    known: int = 0
    """Deliveries that were on their way already."""
    deliveries: int = 0
    batches: int = 0

    @property
    def elsewhere(self) -> set[int]:
        """Tags of messages that end with another group: fan-outs, with their last chunk."""
        return {fanout.received.tag for fanout in self.fanouts}

    @property
    def settled(self) -> list[int]:
        """Tags of the messages to acknowledge when this group ends well."""
        others = self.elsewhere | {received.tag for received in self.oversized}
        return [received.tag for received in self.messages if received.tag not in others]


def report(group: Group, now: float) -> None:
    """One wide line and the numbers of a group that ended well; a fan-out counts with its last chunk."""
    later = group.elsewhere | {received.tag for received, _ in group.aside}
    settled = [received for received in group.messages if received.tag not in later]
    metrics.EVENTS_RECEIVED.labels("amqp").inc(len(settled))
    metrics.EVENTS_DUPLICATE.inc(group.duplicates)
    metrics.EVENTS_UNMATCHED.inc(len(group.unmatched))
    for conflict in group.conflicts:
        _warn(conflict)
    metrics.DELIVERIES_KNOWN.inc(group.known)
    for received in settled:
        metrics.INTAKE_SECONDS.observe(now - received.at)
    causes = [parked.parked[0].cause.value for parked in group.parked]
    for cause in causes:
        metrics.EVENTS_PARKED.labels(cause).inc()
    for _, queue in group.aside:
        metrics.EVENTS_ASIDE.labels(queue).inc()
    if not settled and not group.plans and not group.aside:
        return
    logs.wide(
        log,
        "event.received" if settled or group.aside else "event.chunk",
        events=len(settled),
        deliveries=group.deliveries,
        batches=group.batches,
        duplicates=group.duplicates,
        unmatched=len(group.unmatched),
        unmatched_types=sorted(set(group.unmatched))[:_NAMED],
        aside=len(group.aside),
        parked=len(group.parked) + len(group.oversized),
        causes=sorted(set(causes)),
        ids=[plan.event.key for plan in group.plans[:_NAMED]],
        types=sorted({plan.event.type for plan in group.plans})[:_NAMED],
        seconds=max((now - received.at for received in settled), default=0.0),
    )


def _warn(conflict: Conflict) -> None:
    second, first = conflict.identity, conflict.first
    metrics.EVENTS_CONFLICTING.inc()
    logs.wide(
        log,
        "event.conflict",
        level=WARNING,
        event=second.key,
        id=second.id,
        source=second.source,
        first_type=first.type,
        first_received=first.received,
        type=second.type,
        time=second.time,
        what="another event came under this id; the first counts, and nothing is sent for the other",
    )
