"""A batch as the message pika publishes (`notifier.domain.task_message`)."""

from __future__ import annotations

import os
import socket
from functools import cache

import pika

from consumers.batching import EncodedBatch
from consumers.publisher import Outgoing
from notifier.domain import task_message as task
from notifier.domain.topology import TASKS_EXCHANGE


def task_message(batch: EncodedBatch) -> Outgoing:
    """The task that runs a batch."""
    message = task.task_message(batch.channel, batch.deliveries, batch.body, _origin())
    properties = pika.BasicProperties(
        content_type=task.CONTENT_TYPE,
        content_encoding=task.CONTENT_ENCODING,
        headers=message.headers,
        delivery_mode=2,
        priority=0,
        correlation_id=message.id,
        reply_to="",
        # Not in Celery's own messages: `publisher` finds a returned message by it.
        message_id=message.id,
    )
    return Outgoing(TASKS_EXCHANGE, batch.queue, message.body, properties)


@cache
def _origin() -> str:
    return f"consumer-{os.getpid()}@{socket.gethostname()}"
