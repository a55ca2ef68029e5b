"""The settings of this process, its logs, and its names on the broker."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from datetime import UTC, datetime
from functools import cache

from notifier import zones
from notifier.environment import entries, read_channel_settings, read_settings
from notifier.logs import configure, get, wide
from notifier.settings import Settings

_log = get("start")


@cache
def settings() -> Settings:
    """The settings of this process, read from its environment once. Raises `SettingsError` naming every mistake."""
    return read_settings(os.environ)


@cache
def channel_settings() -> dict[str, str]:
    """What channel files name, likewise."""
    return read_channel_settings(os.environ)


@cache
def configure_logs() -> None:
    """Logging as the settings ask, once; the masked settings and the time zones in force are the first lines."""
    ours = settings()
    configure(ours.log_format, ours.log_level)
    chosen = {e.variable: e.value for e in entries(ours, os.environ) if e.origin != "default"}
    wide(_log, "settings.read", settings=chosen)
    wide(_log, "zones.read", version=zones.VERSION, host_version=zones.host_version())
    for problem in zones.zone_advice(datetime.now(UTC).date()):
        wide(_log, "settings.advice", level=logging.WARNING, setting=problem.where, what=problem.what, fix=problem.fix)


def node_name(role: str) -> str:
    """``worker-ab12@host``: two workers of one name on a broker lock each other out (RESOURCE_LOCKED)."""
    return f"{role}-{secrets.token_hex(3)}@{socket.gethostname()}"
