"""How often and how fast, which rules and channel files say alike: ``retry`` → `RetrySchedule`, ``limit`` → `Rate`."""

from __future__ import annotations

from notifier.domain.limit import Rate, parse_rate
from notifier.domain.retry import WEBHOOK_SCHEDULE, RetrySchedule
from notifier.rules.sections import Section

#: Entries of `retry`: more tries than this are not patience but a loop.
MAX_RETRIES = 50


def read_retry(section: Section) -> RetrySchedule | None:
    """When it is tried again; None where nothing is said."""
    if section.get("retry") is None:
        return None
    nodes = section.entries("retry")
    if len(nodes) > MAX_RETRIES:
        section.wrong("retry", f"{section.name}: {len(nodes)} retries", f"at most {MAX_RETRIES}")
    delays = tuple(d for node in nodes if (d := section.duration_of(node, "retry")) is not None)
    return RetrySchedule(delays, WEBHOOK_SCHEDULE.jitter)


def read_limit(section: Section) -> Rate | None:
    """How much at once; None where nothing is said, and for what is no rate, which is noted."""
    text = section.text("limit")
    try:
        return parse_rate(text) if text else None
    except ValueError as error:
        section.wrong("limit", f"{section.name}: limit: {error}")
        return None
