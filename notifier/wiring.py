"""The composition root: one builder per process role, and the only place where concrete classes meet.

Imports of a role's libraries stay inside its builder, so that a command loads what it needs: the consumer never imports
gevent, the worker never imports FastAPI.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from typing import TYPE_CHECKING, Any

from notifier.domain.retry import EMAIL_SCHEDULE, WEBHOOK_SCHEDULE, RetrySchedule
from notifier.errors import ConfigurationError, Unavailable
from notifier.logs import configure, get, wide
from notifier.settings import Settings, entries, read_settings, split_list

if TYPE_CHECKING:
    from celery import Celery

    from notifier.channels.email.channel import EmailChannel
    from notifier.channels.webhook.channel import WebhookChannel
    from notifier.channels.webhook.guard import Guard
    from notifier.failures.operator import Operator
    from notifier.rules.content import Content
    from notifier.rules.live import Live
    from notifier.storage.ledger import Ledger
    from notifier.storage.store import Store
    from notifier.worker.dispatch import Stores
    from notifier.worker.lifecycle import WorkerParts

_log = get("start")


@cache
def settings() -> Settings:
    """This process's settings, read from its environment once. Raises `SettingsError` naming every mistake."""
    return read_settings(os.environ)


def configure_logs() -> None:
    """Logging as the settings ask, and the masked settings as the first line."""
    ours = settings()
    configure(ours.log_format, ours.log_level)
    chosen = {e.variable: e.value for e in entries(ours, os.environ) if e.origin != "default"}
    wide(_log, "settings.read", **chosen)


def schedules(ours: Settings) -> tuple[RetrySchedule, RetrySchedule]:
    """The retry schedules of emails and webhooks."""

    def schedule(text: str, default: RetrySchedule) -> RetrySchedule:
        return RetrySchedule(tuple(float(part) for part in split_list(text))) if text else default

    return schedule(ours.email_retry, EMAIL_SCHEDULE), schedule(ours.webhook_retry, WEBHOOK_SCHEDULE)
