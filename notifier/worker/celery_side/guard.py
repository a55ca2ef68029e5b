"""What may leave a task's body: nothing but success and Celery's `Reject` (traps T1, T3, T5, T8).

Under gevent anything that is not an `Exception` leaks the message (it stays unacknowledged until the broker closes the
channel half an hour later), and `retry()` loses it when its publish fails. So every end is turned into one of three:
returned (acknowledged), rejected with requeue (handed back), rejected without (dead-lettered into ``failed-*``).
"""

from __future__ import annotations

import logging

from celery.exceptions import Reject

from notifier import metrics
from notifier.errors import Inseparable, InvalidBatch, PublishRejected, Unavailable, WorkerStopping
from notifier.logs import get, wide
from notifier.worker.celery_side.coalescer import Coalescer, Run

_log = get("worker")


def run_guarded(run: Run, wire: object, coalescer: Coalescer) -> None:
    """Run one batch when its turn has come; raises nothing but `Reject`."""
    try:
        coalescer.run(run, wire)
    except InvalidBatch as error:
        wide(_log, "batch.unreadable", level=logging.ERROR, error=str(error)[:500])
        metrics.BATCHES_REJECTED.labels("unreadable").inc()
        raise Reject(str(error)[:200], requeue=False) from error
    except WorkerStopping as error:
        metrics.BATCHES_REJECTED.labels("stopping").inc()
        raise Reject(str(error), requeue=True) from error
    except Inseparable as error:
        metrics.BATCHES_REJECTED.labels("together").inc()
        raise Reject(str(error), requeue=True) from error
    except (Unavailable, PublishRejected) as error:
        wide(_log, "batch.handed_back", level=logging.WARNING, error=str(error)[:500])
        metrics.BATCHES_REJECTED.labels("unavailable").inc()
        raise Reject(str(error)[:200], requeue=True) from error
    except BaseException as error:
        # Also GreenletExit, gevent.Timeout, SystemExit, MemoryError. Handed back, not dead-lettered: a crash that
        # repeats reaches the broker's delivery limit, and that parks the batch with its deliveries.
        _log.exception("batch.crashed")
        metrics.BATCHES_REJECTED.labels("crashed").inc()
        raise Reject(f"the batch crashed the task: {type(error).__name__}", requeue=True) from error
