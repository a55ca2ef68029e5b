"""`LimitWatch`: the limits in force as this worker knows them, looked up once a second beside its work.

One small read a second for the whole process, instead of one per batch: a deployment without limits pays nothing else.
"""

from __future__ import annotations

import logging

import gevent

from notifier.domain.limit import Rates
from notifier.errors import StorageUnavailable
from notifier.limits.table import LimitTable
from notifier.logs import get, wide
from notifier.storage.limits import Limits, Picture

#: Seconds between looks, so the time a change made live takes to be seen everywhere.
LOOK_EVERY_S = 1.0

_log = get("limits")


class LimitWatch:
    """Keeps `table` true; the first look is made here, so that no batch runs before it."""

    def __init__(self, limits: Limits, configured: Rates) -> None:
        self.table = LimitTable(configured)
        self._limits = limits
        self._picture = Picture(version=-1)
        self.look()
        self._greenlet = gevent.spawn(self._run)

    def look(self) -> None:
        """Read what changed. While Redis is away the last picture counts; nothing is granted then anyway."""
        try:
            picture = self._limits.picture(self._picture)
        except StorageUnavailable as error:
            wide(_log, "limits.unseen", level=logging.DEBUG, error=str(error))
            return
        if picture is not self._picture:
            self._picture = picture
            self.table = LimitTable(self.table.configured, picture.live, picture.learned)
            live = {str(scope): str(rate or "unlimited") for scope, rate in picture.live.items()}
            wide(_log, "limits.read", live=live, learned=[str(scope) for scope in picture.learned])

    def stop(self) -> None:
        """End looking."""
        self._greenlet.kill()

    def _run(self) -> None:
        while True:
            gevent.sleep(LOOK_EVERY_S)
            self.look()
