"""A batch with something in it that nobody can read is taken apart: the rest goes on, and it alone fails."""

from __future__ import annotations

import logging

from notifier.broker.publisher import Publishes
from notifier.domain.waiting import RawBatch
from notifier.errors import InvalidBatch
from notifier.logs import get, wide
from notifier.worker.outage import retry_while_down

_log = get("worker")


def separate(batch: RawBatch, error: InvalidBatch, publisher: Publishes) -> None:
    """Queue each delivery by itself. Raises the error for a batch of one: that is what cannot be read.

    Also for one that came in several tasks: they are run one by one.
    """
    if batch.size == 1 or batch.joined:
        raise error
    for alone in batch.alone():
        retry_while_down(lambda b=alone: publisher.send(b), "queue deliveries one by one")  # type: ignore[misc]
    wide(
        _log,
        "batch.separated",
        level=logging.ERROR,
        deliveries=batch.size,
        queue=batch.queue,
        error=str(error)[:500],
    )
