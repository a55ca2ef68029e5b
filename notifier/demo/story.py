"""What the demo publishes: every sample event of templates/, and enough of the digest's to close its window."""

from __future__ import annotations

import copy
import uuid
from datetime import UTC, datetime
from typing import Any

from notifier.domain.event import Event
from notifier.rules.content import Content

SOURCE = "/demo/shop"


def events(content: Content) -> list[dict[str, Any]]:
    """CloudEvents with fresh ids, so that every start of the demo is a new story."""
    story: list[dict[str, Any]] = []
    for folder in sorted({rule.template for rule in content.catalog.rules}):
        for sample in content.catalog.samples.get(folder, ()):
            story += [_fresh(sample.event) for _ in range(_repeats(content, sample.event))]
    return story


def _repeats(content: Content, sample: Event) -> int:
    """One, or as many as close the largest digest window that counts its items."""
    windows = [c.rule.window for c in content.catalog.matching(sample.type) if c.rule.window is not None]
    return max([1, *(window.at_most or 1 for window in windows if window is not None)])


def _fresh(sample: Event) -> dict[str, Any]:
    wire = copy.deepcopy(sample.attributes())
    # A sample's own expiry lies in the past by now.
    wire.pop("expirytime", None)
    return {**wire, "id": str(uuid.uuid4()), "source": SOURCE, "time": datetime.now(UTC).isoformat()}
