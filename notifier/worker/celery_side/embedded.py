"""Intake without RabbitMQ: the API plans events itself and queues their batches on Celery's Redis broker.

For the demo and for development. Everything after this step is the code that runs on RabbitMQ. What it is not: durable
beyond Redis's own persistence, and a delay of minutes waits in a worker's memory instead of in the broker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from notifier.broker.publisher import Publishes
from notifier.domain.batch import MAX_DELIVERIES, Batch
from notifier.domain.delivery import Delivery
from notifier.domain.event import Event
from notifier.domain.rule import Priority, WorkKind
from notifier.domain.trimming import trimmed
from notifier.errors import PlanningError
from notifier.logs import get, wide
from notifier.rules.content import Content
from notifier.rules.live import Live
from notifier.rules.planner import Directory, Plan, plan
from notifier.storage.ledger import Ledger, Registration
from notifier.worker.batch.recorder import now

_log = get("intake")


class _KnownEndpoints(Directory, Protocol):
    """The planner's directory, asked to look again before each event."""

    def refresh(self, tenants: Sequence[str]) -> None:
        """Look again if the last look at these tenants is too old."""


class EmbeddedIntake:
    """Takes events in within the API's process; raises `InvalidEvent` or `Unavailable` and then has taken nothing."""

    def __init__(
        self, content: Live[Content], directory: _KnownEndpoints, ledger: Ledger, publisher: Publishes
    ) -> None:
        self._content = content
        self._directory = directory
        self._ledger = ledger
        self._publisher = publisher

    def accept(self, events: Sequence[Event], *, urgent: bool = False) -> None:  # noqa: ARG002 - no event waits here
        """Plan, register and queue every event; returns when the broker has all of their batches."""
        catalog = self._content.current.catalog
        for event in events:
            catalog.validate(event)
        self._directory.refresh(sorted({event.tenant for event in events}))
        plans = [_whole(plan(event, catalog, self._directory, now())) for event in events]
        registered = self._ledger.register(
            [Registration(p.event, tuple((one.delivery, one.rule) for one in p.planned)) for p in plans]
        )
        for one, known in zip(plans, registered, strict=True):
            if not known.known:
                self._queue(one, known.done)
        self._ledger.planned([event.key for event in events])

    def _queue(self, planned: Plan, done: frozenset[str]) -> None:
        lanes: dict[tuple[WorkKind, Priority, tuple[str, ...]], list[Delivery]] = {}
        for one in planned.planned:
            if one.delivery.id not in done:
                lanes.setdefault((one.rule.kind, one.rule.priority, one.rule.omit), []).append(one.delivery)
        for (channel, priority, omit), deliveries in lanes.items():
            event = trimmed(planned.event, omit)
            for start in range(0, len(deliveries), MAX_DELIVERIES):
                part = deliveries[start : start + MAX_DELIVERIES]
                self._publisher.send(Batch(channel=channel, priority=priority, events=[event], deliveries=part))
        wide(_log, "event.received", event=planned.event.key, type=planned.event.type, planned=len(planned.planned))


def _whole(planned: Plan) -> Plan:
    """Raises `PlanningError` when a part of the event could not be planned: nobody parks it here, its caller hears."""
    if planned.problems:
        more = [f"and {planned.more_problems} more"] if planned.more_problems else []
        raise PlanningError("; ".join([*map(str, planned.problems), *more]))
    return planned
