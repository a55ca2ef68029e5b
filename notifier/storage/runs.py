"""`Runs`: which of several beats does a scheduled run. Each run belongs to the one that asks first.

There is no leader that could be killed or frozen: a key lives as long as the period, and whoever finds it gone has the
next run. Redis' clock alone decides, so the beats' own may differ or jump.
"""

from __future__ import annotations

import secrets

from notifier.storage import keys
from notifier.storage.commands import Operation, run_script
from notifier.storage.store import Store


class Runs:
    """The runs of every scheduled task. Raises `StorageUnavailable` when Redis cannot answer now."""

    def __init__(self, store: Store) -> None:
        self._run = store.run

    def take(self, task: str, period: float) -> float:
        """0: this run is the caller's; otherwise seconds until the next one is due."""
        return self._run(_take(task, period))


def _take(task: str, period: float) -> Operation[float]:
    # A name for this question: one that is repeated on a broken connection must not find itself and stand back.
    token = secrets.token_hex(8)
    (left,) = yield [run_script("take_run", [keys.scheduled_run(task)], token, round(period * 1000))]
    return max(0, int(left)) / 1000
