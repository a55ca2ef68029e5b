"""The settings of this process, its logs, and its names on the broker."""

from __future__ import annotations

import os
import secrets
import socket
from functools import cache
from typing import Any

from notifier.logs import configure, get, wide
from notifier.settings import Settings, entries, read_settings

_log = get("start")


@cache
def settings() -> Settings:
    """The settings of this process, read from its environment once. Raises `SettingsError` naming every mistake."""
    return read_settings(os.environ)


def configure_logs() -> None:
    """Logging as the settings ask, and the masked settings as the first line."""
    ours = settings()
    configure(ours.log_format, ours.log_level)
    chosen = {e.variable: e.value for e in entries(ours, os.environ) if e.origin != "default"}
    wide(_log, "settings.read", settings=chosen)


def celery_app() -> Any:
    """The Celery app, imported when it is needed."""
    from notifier.celery import app

    return app


def node_name(role: str) -> str:
    """``worker-ab12@host``: two workers of one name on a broker lock each other out (RESOURCE_LOCKED)."""
    return f"{role}-{secrets.token_hex(3)}@{socket.gethostname()}"
