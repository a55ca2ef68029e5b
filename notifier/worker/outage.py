"""Retry while a dependency is away: wait and repeat, so that nothing is lost, flooded or counted as a try."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import gevent

from notifier.errors import PublishRejected, Unavailable
from notifier.logs import get, wide

T = TypeVar("T")

_log = get("worker")

#: Seconds between tries; the last repeats. Short at first: a Redis restart takes about a second.
_STEPS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
#: How long a batch keeps its place before the broker gets it back. Far below RabbitMQ's consumer_timeout (30 min),
#: which would close the channel and start every other running batch a second time (trap T4).
OUTAGE_LIMIT_S = 300.0


def retry_while_down(action: Callable[[], T], what: str) -> T:
    """Run ``action`` until no dependency is away and no queue full; after `OUTAGE_LIMIT_S` the last error leaves.

    The greenlet keeps its prefetch slot on purpose: with Redis away there is nothing else a worker could do, and
    giving messages back would only spin them through the broker until its delivery limit parks them.
    """
    waited = 0.0
    step = 0
    while True:
        try:
            result = action()
        except (Unavailable, PublishRejected) as error:
            if waited >= OUTAGE_LIMIT_S:
                raise
            if step == 0:
                wide(_log, "dependency.away", level=logging.WARNING, doing=what, error=str(error))
            pause = _STEPS_S[min(step, len(_STEPS_S) - 1)]
            gevent.sleep(pause)
            waited += pause
            step += 1
        else:
            if step:
                wide(_log, "dependency.back", doing=what, waited_s=round(waited, 2))
            return result
