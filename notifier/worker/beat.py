"""Beat's health page. The scheduler itself is celery-redbeat: two may run, the one with the lock in Redis works."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from notifier.errors import NotifierError
from notifier.health import HealthServer
from notifier.storage.store import Store


@dataclass(frozen=True, slots=True)
class BeatChecks:
    """Whether the schedule can be read (`health.Checks`); who holds the lock is not a question of health."""

    store: Store

    def ready(self) -> dict[str, str | None]:
        """Dependency → reason why it is not ready, or None."""
        return {"redis": self.store.reachable()}


def serve_health(**_: Any) -> None:
    """First act of beat: a look at Redis, and the page; leaves by `SystemExit` when it cannot (see `lifecycle`)."""
    from notifier.wiring.process import settings
    from notifier.wiring.stores import build_store, wait_for_storage

    try:
        ours = settings()
        store = build_store(ours, connections=2)
        wait_for_storage(ours, store)
        HealthServer(BeatChecks(store), ours.http_host, ours.http_port).start()
    except (NotifierError, OSError) as error:
        sys.stderr.write(f"beat cannot start: {error}\n")
        raise SystemExit(2) from error
