"""Beat's scheduler: Celery's own, with Redis deciding which of several beats does a run.

It waits through outages of either server like every role, and asks Redis for a run only with a broker that answers: a
run that was taken and cannot be sent would be nobody's for a period.
"""

from __future__ import annotations

import logging
import time
from functools import cached_property
from typing import Any

from celery.beat import Scheduler
from kombu import Exchange
from kombu.exceptions import KombuError

from notifier.broker.alarm import ALARM
from notifier.domain.topology import TASKS_EXCHANGE
from notifier.errors import NotifierError
from notifier.logs import get, wide
from notifier.storage.runs import Runs

#: Seconds until a server that was away is asked again.
AGAIN_S = 1.0
#: Seconds for a reply of the broker: it takes milliseconds, and Celery would wait for one that is frozen for ever.
REPLY_TIMEOUT_S = 5
#: Seconds without a turn after which beat is not ready, and after which it should be restarted. A turn takes two
#: seconds, one in which the broker falls silent a few of its replies.
LATE_S, STUCK_S = 15.0, 120.0

_log = get("beat")


class SharedScheduler(Scheduler):
    """Sends what is due by `Runs`; several may run. Every entry has a period: none of ours has a time of day."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.runs: Runs
        """Set before the first turn; a look at the schedule, as Celery's banner takes one, needs none."""
        self.faults: dict[str, str | None] = {"broker": "not connected to the broker yet", "redis": None}
        """Server → why it could not be used in the last turn, or None."""
        self._turned = time.monotonic()
        super().__init__(*args, **options)

    def setup_schedule(self) -> None:
        """Our schedule alone: Celery's has a task more, which cleans results that nobody keeps."""
        self.merge_inplace(self.app.conf.beat_schedule)

    def tick(self, *_: Any, **__: Any) -> float:
        """One turn; seconds until the next."""
        self._turned = time.monotonic()
        self._tell("broker", self._look_at_broker())
        if self.faults["broker"] is not None:
            return AGAIN_S
        return min(AGAIN_S, *(self._run_if_due(name, entry) for name, entry in self.schedule.items()))

    def apply_async(self, *entry: Any, **options: Any) -> Any:
        """Send a task; raises what Celery's `apply_entry` logs."""
        sent = super().apply_async(*entry, **options)
        ALARM.end()
        return sent

    def silence(self) -> float:
        """Seconds since the last turn began."""
        return time.monotonic() - self._turned

    def _run_if_due(self, name: str, entry: Any) -> float:
        period: float = entry.schedule.run_every.total_seconds()
        try:
            left = self.runs.take(name, period)
        except NotifierError as error:
            self._tell("redis", str(error))
            return AGAIN_S
        self._tell("redis", None)
        if left > 0:
            return left
        self.apply_entry(entry, producer=self.producer)
        return period

    def _look_at_broker(self) -> str | None:
        """Declares the exchange that tasks go to: a round trip that changes nothing, over the connection they take."""
        connection = self.connection
        try:
            connection.ensure_connection(max_retries=max(1, len(connection.alt)), interval_start=0, interval_step=0)
            Exchange(TASKS_EXCHANGE, type="topic", durable=True).bind(connection.default_channel).declare()
        except (*connection.connection_errors, *connection.channel_errors, KombuError, OSError) as error:
            # Without a word of farewell, for which a frozen broker would be waited for again.
            connection.collect()
            self.__dict__.pop("producer", None)
            return str(error) or f"no answer in {REPLY_TIMEOUT_S} s ({type(error).__name__})"
        return None

    @cached_property
    def connection(self) -> Any:
        """The connection that tasks are sent over."""
        limits = {"read_timeout": REPLY_TIMEOUT_S, "write_timeout": REPLY_TIMEOUT_S}
        return self.app.connection_for_write(transport_options=limits)

    def _tell(self, server: str, fault: str | None) -> None:
        """Log a server that went away or came back, once."""
        before, self.faults[server] = self.faults[server], fault
        if fault is not None and before != fault:
            wide(_log, "beat.waits", level=logging.WARNING, server=server, error=fault)
        elif fault is None and before is not None:
            wide(_log, "beat.goes_on", server=server)
