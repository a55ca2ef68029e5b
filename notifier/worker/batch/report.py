"""What a finished batch tells: metrics for Prometheus, one wide log line, and one for each try that was not sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from notifier import metrics
from notifier.channels.port import Withheld
from notifier.domain.batch import Batch
from notifier.domain.delivery import Status
from notifier.domain.outcome import Cause, Park
from notifier.logs import get, wide
from notifier.worker.batch.claims import Claims
from notifier.worker.batch.sender import Settled

_log = get("worker")


def report(batch: Batch, claims: Claims, settled: Sequence[Settled], withheld: Sequence[Withheld]) -> None:
    """Called after everything is recorded and published, so that what is told has happened."""
    counts = Counter([one.decision.status for one in settled] + [one.status for one in withheld])
    for status, number in counts.items():
        metrics.child(metrics.DELIVERIES, batch.channel, status).inc(number)
    _observe_times(batch, settled)
    for one in settled:
        _tell_attempt(one)
        if isinstance(one.decision.follow, Park):
            metrics.PARKED.labels(batch.channel, one.decision.follow.cause).inc()
    for refused in withheld:
        if refused.park is not None:
            metrics.PARKED.labels(batch.channel, refused.park.cause).inc()
            if refused.park.cause is Cause.RENDER_FAILED:
                metrics.RENDER_FAILURES.labels(batch.channel).inc()
    wide(
        _log,
        "batch.delivered",
        queue=batch.queue,
        deliveries=len(batch.deliveries),
        already_done=len(claims.ended),
        later=len(claims.later),
        statuses=dict(counts),
    )


def report_late(batch: Batch, one: Settled) -> None:
    """A delivery that was left behind by its batch has ended."""
    metrics.DELIVERIES.labels(batch.channel, one.decision.status).inc()
    _observe_times(batch, [one])
    _tell_attempt(one)
    if isinstance(one.decision.follow, Park):
        metrics.PARKED.labels(batch.channel, one.decision.follow.cause).inc()


def _tell_attempt(one: Settled) -> None:
    """One line for each try that was not sent; those that were are counted in the batch's line."""
    attempt = one.decision.attempt
    if attempt is None or one.decision.status is Status.SENT:
        return
    wide(
        _log,
        "delivery.attempted",
        delivery=one.work.delivery.id,
        rule=one.work.rule.id,
        status=one.decision.status,
        attempt=attempt.number,
        code=attempt.code,
        seconds=round(attempt.duration, 3),
        next_try=one.decision.next_try,
    )


def _observe_times(batch: Batch, settled: Sequence[Settled]) -> None:
    waited, took = list[float](), list[float]()
    for one in settled:
        attempt, queued = one.decision.attempt, one.work.delivery.queued
        if attempt is None or not queued:
            continue
        # Clocks of two machines differ by a little; a negative time would be read as an overflow.
        if attempt.number == 1:
            waited.append(max(0.0, attempt.started - queued))
        if one.decision.status is Status.SENT:
            took.append(max(0.0, attempt.started + attempt.duration - queued))
    metrics.observe_all(metrics.child(metrics.QUEUE_SECONDS, batch.channel, batch.priority), waited)
    metrics.observe_all(metrics.child(metrics.LATENCY_SECONDS, batch.channel, batch.priority), took)
