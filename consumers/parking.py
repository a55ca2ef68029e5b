"""Events that can never be planned → `ParkedEvent`s for ``failed-intake``: the original message and the reason."""

from __future__ import annotations

import uuid
from typing import Any

import pika

from consumers.group import Conflict, Received
from consumers.publisher import Outgoing
from notifier.domain.event import Event
from notifier.domain.event_status import Unplanned
from notifier.domain.identity import Identity
from notifier.domain.ids import raw_id
from notifier.domain.outcome import Cause, clip
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent, as_message, shelved, told, unplanned_of
from notifier.domain.topology import FAILED_INTAKE, PARKED_EXCHANGE, TASK_PRIORITY
from notifier.errors import InvalidEvent
from notifier.rules.planner import Plan


def refused_event(received: Received, event: Event | None, error: Exception, now: float) -> ParkedEvent:
    """What is parked for an event that could not be decoded, broke its schema or could not be planned at all."""
    cause = Cause(error.cause) if isinstance(error, InvalidEvent) else Cause.POISON
    reason = str(error) if isinstance(error, InvalidEvent) else f"{type(error).__name__}: {error}"
    return _parked_event(received, event, cause, reason, now)


def partial_plan(received: Received, plan: Plan, now: float) -> ParkedEvent:
    """What is parked beside the deliveries of an event some of whose recipients or rules are wrong."""
    reasons = [str(problem) for problem in plan.problems]
    if plan.more_problems:
        reasons.append(f"and {plan.more_problems} more")
    return _parked_event(received, plan.event, Cause.PLANNING, "\n".join(reasons), now)


def parked_message(parked: ParkedBatch | ParkedEvent) -> Outgoing:
    """The message that takes it to its failure queue."""
    entry, message = parked.parked[0], as_message(parked)
    properties = pika.BasicProperties(
        content_type=message.content_type,
        delivery_mode=2,
        priority=TASK_PRIORITY,
        # The same bytes published twice have one id in the index, but each message needs its own.
        message_id=str(uuid.uuid4()),
        timestamp=int(entry.parked_at),
        headers=message.headers,
    )
    return Outgoing(PARKED_EXCHANGE, entry.place, message.body, properties)


def unplanned(parked: ParkedEvent, event: Event | None) -> list[Unplanned]:
    """What the ledger is told of it; nothing, when the message does not say which event it is."""
    return [
        unplanned_of(entry, fingerprint=event.fingerprint if event else "", note=event.note if event else "")
        for entry in parked.parked
        if entry.event
    ]


def conflict_note(conflict: Conflict) -> str:
    """What the publisher of the first event is told."""
    kind = conflict.identity.type or "unknown"
    return f"another message under this id, of type {kind[:100]}, had other content: nothing was sent for it"


def _parked_event(received: Received, event: Event | None, cause: Cause, reason: str, now: float) -> ParkedEvent:
    headers: dict[str, Any] = received.properties.headers or {}
    whose = Identity.of(event) if event else Identity.found(headers, received.body)
    entry = Parked(
        id=event.key if event else raw_id(received.body),
        queue=FAILED_INTAKE,
        cause=cause,
        reason=clip(reason),
        parked_at=now,
        **told(whose),
    )
    return shelved(ParkedEvent((entry,), received.body, received.properties.content_type or "", headers))
