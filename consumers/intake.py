"""`Intake`: the messages of a group → planned and registered deliveries → the messages to publish for them.

The steps: `plan` → `register` → *publish, in `session`* → `finish`. A group costs one round trip to Redis before
publishing and one after, however many events are in it. Whatever is wrong with one event parks that event alone.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

from consumers.aside import aside_message, with_room
from consumers.batching import Batcher, Shard
from consumers.copies import check_copies
from consumers.endpoint_refresh import Change, change_webhooks, without
from consumers.envelope import decode
from consumers.group import Conflict, Fanout, Group, Received
from consumers.parking import conflict_note, parked_message, partial_plan, refused_event, unplanned
from consumers.pressure import Pressure
from consumers.publisher import Outgoing
from consumers.task_message import task_message
from notifier import logs, metrics
from notifier.domain.batch import MAX_BYTES, MAX_DELIVERIES
from notifier.domain.cloudevents import MAX_BYTES as EVENT_MAX_BYTES
from notifier.domain.encoding import EncodedBatch
from notifier.domain.event import Event
from notifier.domain.event_status import EventStatus, Other, Unplanned
from notifier.domain.identity import Identity
from notifier.domain.parked import COPY_LIMIT, Parked
from notifier.errors import InvalidEvent
from notifier.rules.catalog import Catalog
from notifier.rules.planner import Directory, Plan, Planned, plan_chunks, plan_webhooks
from notifier.storage.registration import Registered, Registration

log = logs.get("intake")

#: Deliveries of one event that are planned within its group; an event with more is a fan-out and goes by itself.
CHUNK = 500


class _EventLedger(Protocol):
    """Where planned deliveries are written down: `storage.ledger.AsyncLedger`."""

    async def register(
        self, registrations: Sequence[Registration], meanwhile: Callable[[], None] | None = None
    ) -> list[Registered]:
        """Before publishing; says what was known already. ``meanwhile`` is called while the ledger does it."""

    async def unregister(self, ids: Sequence[str]) -> None:
        """Takes away what is not to be published after all."""

    async def planned(self, event_keys: Sequence[str], unmatched: Sequence[str] = ()) -> None:
        """After every task of these events was confirmed; ``unmatched`` are types of those no rule wanted."""

    async def unplanned(self, entries: Sequence[Unplanned]) -> list[Other | None]:
        """After they were parked or put aside; says which other event is known under the id of one."""

    async def note(self, event_key: str, text: str) -> None:
        """What the publisher of an event should know."""


class EndpointDirectory(Directory, Protocol):
    """Which endpoints exist, for planning: `storage.directory.EndpointDirectory`."""

    @property
    def version(self) -> str:
        """Of what it says now."""

    async def refresh(self, tenants: Iterable[str]) -> None:
        """Before planning events of these tenants."""

    async def catch_up(self, tenants: Iterable[str]) -> None:
        """When some have changed, perhaps those of other tenants."""


#: Writes parked entries where operators look them up, after the parked messages were confirmed.
IndexParked = Callable[[Sequence[Parked]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one event and one task may measure."""

    event_bytes: int = EVENT_MAX_BYTES
    batch_deliveries: int = MAX_DELIVERIES
    batch_bytes: int = MAX_BYTES


class _Tasks:
    """What a group's deliveries travel in."""

    def __init__(self) -> None:
        self.batches: list[EncodedBatch] = []
        self.messages: list[Outgoing] = []

    def make(self, batcher: Batcher, wanted: Iterable[tuple[Event, Iterable[Planned]]]) -> None:
        """Of these deliveries, instead of any others."""
        for event, deliveries in wanted:
            batcher.add(event, deliveries)
        self.batches = list(batcher.batches())
        self.messages = [task_message(batch) for batch in self.batches]


class Intake:
    """Plans groups; knows neither the broker nor acknowledgements. `StorageUnavailable` leaves it, nothing else."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        directory: EndpointDirectory,
        ledger: _EventLedger,
        *,
        index_parked: IndexParked | None = None,
        limits: Limits | None = None,
        shard: Shard = lambda channel, priority, tenant: 0,
        standing: Shard = lambda channel, priority, tenant: 0,
        pressure: Pressure | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``shard`` counts a delivery and says where it goes; ``standing`` says where the next one would."""
        self._catalog = catalog
        self._directory = directory
        self._ledger = ledger
        self._index_parked = index_parked
        self._limits = limits or Limits()
        self._shard = shard
        self._standing = standing
        self._clock = clock
        self.pressure = pressure or Pressure()
        """Which work queues are full; whoever looks at them tells it."""

    async def plan(self, messages: Sequence[Received]) -> Group:
        """Decode and plan; only the endpoints are asked for, everything else is computing."""
        group = Group(messages)
        events: dict[str, tuple[Received, Event]] = {}
        for received in messages:
            if event := self._decode(group, received):
                first = events.setdefault(event.key, (received, event))
                if first[0] is not received:
                    group.duplicates += 1
                    if first[1].fingerprint != event.fingerprint:
                        other = Other(first[1].type, self._clock())
                        group.conflicts.append(Conflict(Identity.of(event), other))
        await self._directory.refresh({event.tenant for _, event in events.values()})
        group.directory = self._directory.version
        catalog = self._catalog()
        for received, event in events.values():
            self._plan(group, received, event, catalog)
        return group

    def _decode(self, group: Group, received: Received) -> Event | None:
        try:
            event = decode(received.properties, received.body, self._limits.event_bytes)
        except InvalidEvent as error:
            self._park(group, received, None, error)
            return None
        if event.repairs:
            logs.wide(log, "event.repaired", event=event.key, type=event.type, note=event.note)
        return event

    def _plan(self, group: Group, received: Received, event: Event, catalog: Catalog) -> None:
        try:
            published = received.properties.timestamp
            chunks = plan_chunks(event, catalog, self._directory, self._clock(), CHUNK, published=published)
            first, second = next(chunks), next(chunks, None)
            if second is not None:
                check_copies((first, second), self._limits.batch_deliveries)
        except InvalidEvent as error:
            self._park(group, received, event, error)
        except Exception as error:  # what nobody foresaw parks this event: it must not delay others or come back
            log.exception("an event could not be planned", extra={"fields": {"event": event.key, "type": event.type}})
            self._park(group, received, event, error)
        else:
            both = chain((first, second), chunks) if second else iter(())
            fanout = Fanout(received, event, both, group.directory, self.pressure.full)
            if second is None:
                self._take(group, fanout, first, is_last=True)
            else:
                group.fanouts.append(fanout)

    def chunks(self, fanout: Fanout) -> Iterator[Group]:
        """A fan-out as groups of one chunk each; the last one settles the message."""
        try:
            plan = next(fanout.chunks)
            for following in fanout.chunks:
                yield self._chunk(fanout, plan, is_last=False)
                plan = following
            yield self._chunk(fanout, plan, is_last=True)
        except Exception as error:  # as in `_plan`; the chunks before it are on their way and known to the ledger
            log.exception("a fan-out could not be planned", extra={"fields": {"event": fanout.event.key}})
            group = Group([fanout.received])
            self._park(group, fanout.received, fanout.event, error)
            yield group

    def _chunk(self, fanout: Fanout, plan: Plan, *, is_last: bool) -> Group:
        plan = replace(without(plan, fanout.gone), endpoints=fanout.endpoints or plan.endpoints)
        group = Group([fanout.received] if is_last else [], fanout.directory, fanout)
        self._take(group, fanout, plan, is_last=is_last)
        return group

    def _take(self, group: Group, fanout: Fanout, plan: Plan, *, is_last: bool) -> None:
        """Take a plan, or its part whose queues have room: then the event is put aside when its last chunk is taken."""
        if fanout.full:
            plan, lacking = with_room(plan, fanout.full, self._standing)
            fanout.lacking = fanout.lacking or lacking
        if plan.planned or not fanout.lacking:
            group.plans.append(plan)
        if fanout.lacking:
            # It stays open in the ledger, and its problems are told when all of it is planned.
            if is_last:
                group.aside.append((fanout.received, fanout.lacking))
                group.unplanned.append(_waiting(fanout))
        elif plan.problems:
            # The event stays open in the ledger: when it is replayed after the mistake is mended, what was sent is
            # known by its deliveries and only what was missing is planned.
            parked = partial_plan(fanout.received, plan, self._clock())
            group.parked.append(parked)
            group.unplanned += unplanned(parked, plan.event)
        elif is_last:
            group.finished.append(plan.event.key)

    def _park(self, group: Group, received: Received, event: Event | None, error: Exception) -> None:
        parked = refused_event(received, event, error, self._clock())
        group.unplanned += unplanned(parked, event)
        if len(received.body) > COPY_LIMIT:
            group.oversized.append(received)
            group.moved += parked.parked
        else:
            group.parked.append(parked)

    async def register(self, group: Group) -> list[Outgoing]:
        """Write the deliveries down; the messages to publish for those that are not on their way already."""
        entries = [
            Registration(plan.event, tuple((planned.delivery, planned.rule) for planned in plan.planned))
            for plan in group.plans
        ]
        plans, tasks = group.plans, _Tasks()

        def make() -> None:
            tasks.make(self._batcher(self._shard), [(plan.event, plan.planned) for plan in plans])

        answers = await self._ledger.register(entries, make) if entries else []
        if answers and answers[0].directory != group.directory:
            answers = await self._catch_up(group, answers)
        wanted = []
        for plan, registered in zip(group.plans, answers, strict=True):
            self._compare(group, plan, registered)
            wanted.append((plan.event, _wanted(group, plan, registered)))
        group.deliveries = sum(len(deliveries) for _, deliveries in wanted)
        if group.plans is not plans or group.deliveries != sum(len(plan.planned) for plan in plans):
            # Some of it is on its way already, or goes elsewhere. All of it has been counted for its tenants.
            tasks.make(self._batcher(self._standing), wanted)
        group.batches = len(tasks.batches)
        for batch in tasks.batches:
            self.pressure.use(batch.queue)
            metrics.BATCH_DELIVERIES.labels(batch.channel.value).observe(batch.deliveries)
            metrics.DELIVERIES_PLANNED.labels(batch.channel.value, batch.priority.value).inc(batch.deliveries)
        aside = (aside_message(received, queue) for received, queue in group.aside)
        return [*tasks.messages, *map(parked_message, group.parked), *aside]

    def _batcher(self, shard: Shard) -> Batcher:
        return Batcher(self._limits.batch_deliveries, self._limits.batch_bytes, shard)

    def _compare(self, group: Group, plan: Plan, registered: Registered) -> None:
        """Whether this is the event that is known under its id; a fan-out is told of once."""
        if registered.other is None or (group.fanout is not None and group.fanout.told):
            return
        if group.fanout is not None:
            group.fanout.told = True
        group.conflicts.append(Conflict(Identity.of(plan.event), registered.other))

    async def _catch_up(self, group: Group, answers: Sequence[Registered]) -> list[Registered]:
        """Endpoints changed since this was planned, perhaps before its events came: webhooks are added and dropped."""
        await self._directory.catch_up({plan.event.tenant for plan in group.plans})
        changes = [self._change(group, plan, answer) for plan, answer in zip(group.plans, answers, strict=True)]
        group.plans = [change.plan for change in changes]
        group.directory = self._directory.version
        if group.fanout is not None:
            group.fanout.directory = group.directory
        if dropped := [identity for change in changes for identity in change.dropped]:
            await self._ledger.unregister(dropped)
        added = [(place, change) for place, change in enumerate(changes) if change.added]
        more = await self._ledger.register([change.registration() for _, change in added]) if added else []
        merged = list(answers)
        for (place, _), answer in zip(added, more, strict=True):
            merged[place] = replace(merged[place], done=merged[place].done | answer.done)
        return merged

    def _change(self, group: Group, plan: Plan, answer: Registered) -> Change:
        event = plan.event

        def plan_for(endpoints: Sequence[str]) -> Sequence[Planned]:
            return plan_webhooks(event, self._catalog(), endpoints, self._clock(), plan.published)

        change = change_webhooks(plan, self._directory.endpoints(event.tenant, event.type), plan_for, answer)
        if group.fanout is not None:
            group.fanout.follow(change.plan.endpoints, change.gone)
        return change

    async def finish(self, group: Group) -> None:
        """After every confirm: from now on these events are duplicates, and what was parked can be looked up.

        One round trip, and one more for what was parked, put aside or came under another's id.
        """
        if group.finished:
            await self._ledger.planned(group.finished, group.unmatched)
        if group.unplanned:
            others = await self._ledger.unplanned(group.unplanned)
            told = zip(group.unplanned, others, strict=True)
            group.conflicts += [Conflict(one.identity, other) for one, other in told if other]
        for conflict in group.conflicts:
            # Rare, so a round trip each is nobody's cost.
            await self._ledger.note(conflict.identity.key, conflict_note(conflict))
        entries = [*group.moved, *(entry for parked in group.parked for entry in parked.parked)]
        if self._index_parked is not None and entries:
            await self._index_parked(entries)


def _wanted(group: Group, plan: Plan, registered: Registered) -> Sequence[Planned]:
    """The deliveries of a plan whose tasks are not confirmed yet, as far as anybody knows."""
    if registered.known:
        group.duplicates += 1
        group.known += len(plan.planned)
        return ()
    if not plan.planned and not plan.problems:
        group.unmatched.append(plan.event.type)
    wanted = [planned for planned in plan.planned if planned.delivery.id not in registered.done]
    group.known += len(plan.planned) - len(wanted)
    return wanted


def _waiting(fanout: Fanout) -> Unplanned:
    event, reason = fanout.event, f"the queue {fanout.lacking} is full"
    return Unplanned(Identity.of(event), EventStatus.WAITING, reason, fingerprint=event.fingerprint, note=event.note)
