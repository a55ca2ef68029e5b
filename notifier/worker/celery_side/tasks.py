"""Celery's entry points. Each task takes one `Batch`; what it does is in `dispatch` and `digests`."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from notifier.domain.batch import task_name
from notifier.domain.rule import Channel, Collecting
from notifier.worker.celery_side.guard import run_guarded
from notifier.worker.celery_side.lifecycle import current


def deliver(batch: dict[str, Any]) -> None:
    """Render and send a batch of deliveries by one channel."""
    parts = current()
    run_guarded(parts.dispatch.run, batch, parts.coalescer)


for _channel in Channel:
    shared_task(name=task_name(_channel))(deliver)


@shared_task(name=task_name(Collecting.DIGEST))
def digest(batch: dict[str, Any]) -> None:
    """Put a batch of items into their digest windows."""
    parts = current()
    run_guarded(lambda items, _: parts.collector.run(items), batch, parts.coalescer)


# Acknowledged before it runs: a sweep that fails is made good by the next one, two seconds later, and must not be
# dead-lettered into failed-digest, where every one of them would lie as something nobody can read.
@shared_task(name="notifier.sweep", ignore_result=True, acks_late=False)
def sweep() -> None:
    """Close the digest windows that are due; Beat asks every few seconds, and asking twice changes nothing."""
    current().collector.sweep()
