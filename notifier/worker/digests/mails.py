"""Closed windows as the mails they become, many in one task: a message each would be most of the work of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from notifier.domain.batch import MAX_BYTES, MAX_DELIVERIES, Batch
from notifier.domain.delivery import Delivery, DigestItems
from notifier.domain.event import Event
from notifier.domain.ids import digest_id
from notifier.domain.rule import Rule
from notifier.storage.digests import ClosedWindow


def mails_of(windows: Iterable[tuple[Rule, ClosedWindow]]) -> Iterator[tuple[Batch, list[ClosedWindow]]]:
    """As few batches as fit, each with the windows that are in it; of one queue each."""
    groups, sizes, rules = dict[str, list[ClosedWindow]](), dict[str, int](), dict[str, Rule]()
    for rule, window in windows:
        place, size = f"{rule.channel} {rule.priority}", _size(window)
        group = groups.setdefault(place, [])
        rules[place] = rule
        if group and (len(group) >= MAX_DELIVERIES or sizes[place] + size > MAX_BYTES):
            yield _batch(rule, group), group
            groups[place] = group = []
            sizes[place] = 0
        group.append(window)
        sizes[place] = sizes.get(place, 0) + size
    for place, group in groups.items():
        yield _batch(rules[place], group), group


def _batch(rule: Rule, windows: list[ClosedWindow]) -> Batch:
    """``rule`` is of their queue."""
    events, deliveries = list[Event](), list[Delivery]()
    for window in windows:
        deliveries.append(_digest(window, len(events)))
        events += window.events
    return Batch(channel=rule.channel, priority=rule.priority, events=events, deliveries=deliveries)


def _digest(window: ClosedWindow, place: int) -> Delivery:
    """Its events begin at this place."""
    return Delivery(
        id=digest_id(window.rule, window.to.identity, window.key, window.window),
        event=place,
        rule=window.rule,
        to=window.to,
        queued=window.closed,
        key=window.key,
        digest=DigestItems(
            items=list(range(place, place + len(window.events))),
            total=window.total,
            deliveries=list(window.deliveries),
            key=window.key,
            opened=window.opened,
            closed=window.closed,
            expires=list(window.expires) if any(window.expires) else [],
        ),
    )


def _size(window: ClosedWindow) -> int:
    """Bytes in its task at the most: an id, a place and an end for each item, and whom it is for."""
    return sum(len(event.encoded) for event in window.events) + 60 * window.total + 1000
