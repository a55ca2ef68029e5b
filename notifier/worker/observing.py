"""Waiting times and parks of a finished batch, for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence

from notifier import metrics
from notifier.domain.batch import Batch
from notifier.domain.delivery import Status
from notifier.domain.outcome import Cause
from notifier.worker.deciding import Park
from notifier.worker.preparing import Withheld
from notifier.worker.sending import Settled


def observe(batch: Batch, settled: Sequence[Settled], withheld: Sequence[Withheld]) -> None:
    """Called after everything is recorded and published, so that what is counted has happened."""
    for one in settled:
        _observe_times(batch, one)
        if isinstance(one.decision.follow, Park):
            metrics.PARKED.labels(batch.channel, one.decision.follow.cause).inc()
    for refused in withheld:
        if refused.cause is not None:
            metrics.PARKED.labels(batch.channel, refused.cause).inc()
        if refused.cause is Cause.RENDER_FAILED:
            metrics.RENDER_FAILURES.labels(batch.channel).inc()


def _observe_times(batch: Batch, one: Settled) -> None:
    attempt, queued = one.decision.attempt, one.work.delivery.queued
    if attempt is None or not queued:
        return
    # Clocks of two machines differ by a little; a negative time would be read as an overflow.
    if attempt.number == 1:
        metrics.QUEUE_SECONDS.labels(batch.channel, batch.priority).observe(max(0.0, attempt.started - queued))
    if one.decision.status is Status.SENT:
        took = attempt.started + attempt.duration - queued
        metrics.LATENCY_SECONDS.labels(batch.channel, batch.priority).observe(max(0.0, took))
