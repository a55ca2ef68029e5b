"""Beat's health. What it sends, and which of several does: `scheduler`."""

from __future__ import annotations

from dataclasses import dataclass

from notifier.broker.alarm import ALARM
from notifier.storage.store import Store
from notifier.worker.celery_side.scheduler import LATE_S, STUCK_S, SharedScheduler


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
