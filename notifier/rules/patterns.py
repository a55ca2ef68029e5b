"""Event patterns: an exact event type, or one with ``*`` for any run of characters, dots included.

The same meaning as in a webhook endpoint's subscriptions (`domain.endpoint.Endpoint.wants`), so people learn one.
"""

from __future__ import annotations

import fnmatch
import re

_ALLOWED = re.compile(r"[A-Za-z0-9_.:/*-]{1,255}")


def matches(pattern: str, event_type: str) -> bool:
    """Whether an event type is meant by a pattern; upper and lower case differ, as CloudEvents says."""
    return pattern == event_type if "*" not in pattern else fnmatch.fnmatchcase(event_type, pattern)


def mistake_in(pattern: str) -> str:
    """What is wrong with a pattern; empty when nothing is."""
    if not _ALLOWED.fullmatch(pattern):
        return "an event type is letters, digits and . _ - : / with * for any run of characters"
    if ".." in pattern or pattern.startswith(".") or pattern.endswith("."):
        return "an event type has no empty parts between its dots"
    if "**" in pattern:
        return "one * already stands for any run of characters, dots included"
    return ""
