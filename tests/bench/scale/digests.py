"""Windows that are due at once: a sweep of one process, with its mails confirmed by a real broker."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from notifier.broker.publisher import TaskPublisher
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.event import Event
from notifier.domain.rule import Window
from notifier.rules.content import Content
from notifier.storage.cipher import Cipher
from notifier.storage.digests import Digests, Item
from notifier.worker.digests.collector import Collector
from tests.bench.scale.curve import Curve
from tests.bench.scale.site import Site, site
from tests.bench.waiting import BenchFailed

_RULES = """
event: order.shipped
category: news
transactional: true
rules:
  - {id: news, channel: digest, to: data.to, key: data.order, window: {after_first: 60s}}
"""
_ITEMS, _TOGETHER = 3, 300
#: Seconds after which all windows are due.
_WINDOW_S = 60.0


def _swept(size: int, folder: Path) -> float:
    with site(folder) as here:
        digests = Digests(here.store, Cipher(here.settings.secret_key))
        _fill(digests, size)
        collector = Collector(
            content=cast(Any, SimpleNamespace(current=_content(here))),
            stores=cast(Any, None),
            digests=digests,
            publisher=TaskPublisher(here.app()),
            owner="bench",
        )
        began, swept = time.monotonic(), 0
        while more := collector.sweep():
            swept += more
        took = time.monotonic() - began
    if swept != size:
        raise BenchFailed(f"{swept} windows were closed of {size}")
    return swept / took


def _content(here: Site) -> Content:
    order = here.templates / "order.shipped"
    order.mkdir()
    (order / "rules.yaml").write_text(_RULES)
    for part in ("subject", "text"):
        (order / f"digest.{part}.j2").write_text("News")
    return Content.load(here.templates, rules_only=True)


def _fill(digests: Digests, size: int) -> None:
    """Items of three events for each person, collected long enough ago."""
    event = Event(id="1", source="/shop", type="order.shipped", data={"order": "4711", "note": "x" * 200})
    window, collected = Window(after_first=_WINDOW_S), time.time() - _WINDOW_S - 1
    waiting = list[Item]()
    for number in range(size * _ITEMS):
        to = Mailbox(address=f"person-{number // _ITEMS}@example.org")
        one = Delivery(id=f"dlv_{number:026d}", event=0, rule="order.shipped/news", to=to, queued=collected)
        waiting.append(Item(one, event, window))
        if len(waiting) == _TOGETHER:
            digests.collect(waiting, collected)
            waiting = []
    digests.collect(waiting, collected)


CURVES = (
    Curve("digests", "windows due at once, of three items", "windows/s", (1_000, 5_000, 25_000), _swept, 2_000, "more"),
)
