"""Rates that relays and domains teach us: complaints slow them down for all workers, mails that go through raise them.

Asked after every batch of mails. While nobody complains that is one look at an empty queue, and every ten seconds one
read of what other workers have learned.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from notifier import metrics
from notifier.domain.limit import Scope
from notifier.engine.rate_watch import Complaint, RateWatch
from notifier.errors import StorageUnavailable
from notifier.limits.table import LEARNED, LimitTable
from notifier.logs import get, wide
from notifier.storage.adaptive import CUT_APART_S, RAISE_APART_S, AdaptiveRates
from notifier.storage.limits import Limits

#: Seconds between two looks at what other workers have slowed down.
LOOK_S = 10.0

_log = get("limits")


class AdaptiveLimits:
    """One worker's part in finding the rates that relays and domains bear."""

    def __init__(
        self,
        watch: RateWatch,
        rates: AdaptiveRates,
        limits: Limits,
        table: Callable[[], LimitTable],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch = watch
        self._rates = rates
        self._limits = limits
        self._table = table
        self._clock = clock
        self._slowed: set[Scope] = set()
        self._cut: dict[Scope, float] = {}
        self._look_at = 0.0
        self._raise_at = 0.0

    def follow(self) -> None:
        """After a batch. What cannot be told because Redis is away is told by the next complaint."""
        now = self._clock()
        try:
            for complaint in self._watch.complaints():
                self._slow(complaint, now)
            if now >= self._look_at:
                self._look_at = now + LOOK_S
                self._slowed = set(self._limits.adapted())
            if self._slowed and now >= self._raise_at:
                self._raise(now)
        except StorageUnavailable as error:
            wide(_log, "rates.untold", level=logging.DEBUG, error=str(error))

    def _slow(self, complaint: Complaint, now: float) -> None:
        scope = complaint.scope
        if now < self._cut.get(scope, now - 1):
            return
        rate, origin = self._table().find(scope.kind, scope.name)
        configured = rate.per_second if rate is not None and origin != LEARNED else 0.0
        was_cut = self._rates.slow(scope, measured=complaint.measured, configured=configured)
        self._cut = {known: until for known, until in self._cut.items() if until > now}
        self._cut[scope] = now + CUT_APART_S
        self._slowed.add(scope)
        self._raise_at = now + CUT_APART_S
        if not was_cut:
            return
        metrics.RATE_CUTS.labels(scope.kind).inc()
        measured, reply = round(complaint.measured, 1), complaint.reply[:200]
        wide(_log, "rate.cut", level=logging.WARNING, scope=str(scope), measured=measured, reply=reply)

    def _raise(self, now: float) -> None:
        self._raise_at = now + RAISE_APART_S
        scopes = self._watch.went_through(self._slowed)
        if scopes and self._rates.raise_(scopes) < len(scopes):
            self._look_at = now
