"""Rules and templates, read again when their files change: beside the work of the process, and out of its way."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from notifier import metrics
from notifier.errors import ConfigurationError
from notifier.logs import get, wide
from notifier.rules.channel_urls import CheckUrl
from notifier.rules.content import Content
from notifier.rules.live import Live
from notifier.settings import Settings

_log = get("start")

#: Seconds that a reload works before it pauses, and the pause. Whoever wants Python's interpreter lock from a thread
#: that works waits for 5 ms each time, and the work of a worker's hub wants it after each system call.
WORK_S, PAUSE_S = 0.001, 0.004


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

    def renewed(before: Content) -> Content:
        return Content.load(
            ours.templates, rules_only=rules_only, check_url=check_url, before=before, breathe=breathing()
        )

    live = Live(
        lambda: Content.load(ours.templates, rules_only=rules_only, check_url=check_url),
        ours.templates,
        renew=renewed,
        aside=aside,
        on_reload=reloaded,
        on_error=broken,
    )
    live.watch()
    return live


def aside(do: Callable[[], Any]) -> Any:
    """Run in a thread of the kernel: in a worker every other thread is a greenlet, and its hub would wait."""
    if not _has_greenlets():
        return do()
    import gevent

    return gevent.get_hub().threadpool.apply(do)


def breathing() -> Callable[[], None]:
    """To be called often by whoever works aside: pauses whenever it has worked for `WORK_S`."""
    pause, now = _sleep(), time.monotonic
    began = now()

    def breathe() -> None:
        nonlocal began
        if now() - began >= WORK_S:
            pause(PAUSE_S)
            began = now()

    return breathe


def _has_greenlets() -> bool:
    """Whether this process is a worker. The others do not import gevent, not even to ask."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _sleep() -> Callable[[float], object]:
    """The kernel's, which does not ask for a hub in the thread it is called in."""
    if not _has_greenlets():
        return time.sleep
    from gevent import monkey

    original: Callable[[float], object] = monkey.get_original("time", "sleep")
    return original
