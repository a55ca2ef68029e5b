"""Rules and templates, read again when their files change."""

from __future__ import annotations

import logging

from notifier import metrics
from notifier.errors import ConfigurationError
from notifier.logs import get, wide
from notifier.rules.channel_urls import CheckUrl
from notifier.rules.content import Content
from notifier.rules.live import Live
from notifier.settings import Settings

_log = get("start")


def build_content(ours: Settings, *, rules_only: bool = False, check_url: CheckUrl | None = None) -> Live[Content]:
    """Rules and templates, read again when their files change; broken new files keep the last good ones.

    ``check_url``: which URLs channel files may name; for whoever sends to them.
    """

    def reloaded(_: Content) -> None:
        metrics.CONTENT_RELOADS.labels("ok").inc()
        metrics.CONTENT_BROKEN.set(0)
        wide(_log, "content.reloaded", templates=str(ours.templates))

    def broken(error: ConfigurationError) -> None:
        metrics.CONTENT_RELOADS.labels("broken").inc()
        metrics.CONTENT_BROKEN.set(1)
        wide(_log, "content.broken", level=logging.WARNING, problems=[str(problem) for problem in error.problems])

    live = Live(
        lambda: Content.load(ours.templates, rules_only=rules_only, check_url=check_url),
        ours.templates,
        on_reload=reloaded,
        on_error=broken,
    )
    live.watch()
    return live
