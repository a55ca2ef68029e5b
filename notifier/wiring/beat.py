"""Beat: its look at Redis, and its health page."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from notifier.broker.alarm import ALARM
from notifier.errors import NotifierError
from notifier.health import HealthServer
from notifier.process import settings
from notifier.storage.runs import Runs
from notifier.storage.store import Store
from notifier.wiring.stores import build_store, wait_for_storage
from notifier.worker.celery_side.scheduler import LATE_S, STUCK_S, SharedScheduler


def start_beat(sender: Any, **_: Any) -> None:
    """First act of beat: a look at Redis, and the page; leaves by `SystemExit` when it cannot (see `lifecycle`)."""
    try:
        ours = settings()
        store = build_store(ours, connections=2)
        wait_for_storage(ours, store)
        sender.scheduler.runs = Runs(store)
        checks = BeatChecks(store, sender.scheduler)
        HealthServer(checks, ours.http_host, ours.http_port, checks.alive).start()
    except (NotifierError, OSError) as error:
        sys.stderr.write(f"beat cannot start: {error}\n")
        raise SystemExit(2) from error


@dataclass(frozen=True, slots=True)
class BeatChecks:
    """Whether a run that is due now would be sent (`health.Checks`), by whichever of several beats."""

    store: Store
    scheduler: SharedScheduler

    def ready(self) -> dict[str, str | None]:
        """Dependency → reason why it is not ready, or None."""
        return {
            "redis": self.store.reachable(),
            "broker": self.scheduler.faults["broker"] or ALARM.reason,
            "schedule": self._silent_for(LATE_S),
        }

    def alive(self) -> str | None:
        """A reason to restart this process, or None."""
        return self._silent_for(STUCK_S)

    def _silent_for(self, seconds: float) -> str | None:
        silence = self.scheduler.silence()
        return f"has not looked what is due for {silence:.0f} s" if silence > seconds else None
