"""Putting an event aside: as it came, into the queue of those that wait for room in a full work queue.

Planned, it would be a task or two thousand and as many records in Redis as it has recipients; as it came, it is one
message.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Collection
from dataclasses import replace

import pika

from consumers.batching import Shard
from consumers.group import Received
from consumers.publisher import Outgoing
from notifier.domain.rule import queue_name
from notifier.domain.topology import EVENT_PRIORITY, TASKS_EXCHANGE, waiting_queue
from notifier.rules.planner import Plan

#: Headers by which RabbitMQ would copy the message to further queues, as it did when the event was published.
_COPYING = ("CC", "BCC")


def with_room(plan: Plan, full: Collection[str], standing: Shard) -> tuple[Plan, str]:
    """The part of a plan whose queues have room, and the first queue that has none; "" when all have."""
    rules = {planned.rule.id: planned.rule for planned in plan.planned}
    tenant = plan.event.tenant
    queues = {i: queue_name(r.kind, r.priority, standing(r.kind, r.priority, tenant)) for i, r in rules.items()}
    lacking = next((queue for queue in queues.values() if queue in full), "")
    if not lacking:
        return plan, ""
    kept = tuple(planned for planned in plan.planned if queues[planned.rule.id] not in full)
    return replace(plan, planned=kept), lacking


def aside_message(received: Received, queue: str) -> Outgoing:
    """The event as it came, for whoever waits for ``queue``."""
    properties: pika.BasicProperties = copy.copy(received.properties)
    properties.message_id = str(uuid.uuid4())
    properties.delivery_mode = 2
    properties.priority = EVENT_PRIORITY
    # RabbitMQ refuses a message whose user is not the one who publishes it.
    properties.user_id = None
    if properties.headers:
        properties.headers = {name: value for name, value in properties.headers.items() if name not in _COPYING}
    return Outgoing(TASKS_EXCHANGE, waiting_queue(queue), received.body, properties)
