"""Beat: its look at Redis, and its health page."""

from __future__ import annotations

import sys
from typing import Any

from notifier.errors import NotifierError
from notifier.health import HealthServer
from notifier.process import settings
from notifier.storage.runs import Runs
from notifier.wiring.stores import build_store, wait_for_storage
from notifier.worker.celery_side.beat import BeatChecks


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
