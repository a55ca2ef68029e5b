"""`Digests`: open windows that collect items, closed once each, so that a crash anywhere loses and doubles nothing.

An item is one delivery of a digest rule. The first one opens a window, named after it, for its group (rule, recipient,
key); each script changes the window, the item's marker and the index of due windows together. Closing moves the window
aside (new items open another) and gives the same content again until `forget`, which comes after the digest's task was
confirmed: a crash in between repeats a publish with the same delivery id, and its claim makes that harmless.

On a Cluster the windows of a person lie in one slot, and those of all people in many (`spread`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from notifier.domain.delivery import Delivery, Destination
from notifier.domain.event import Event
from notifier.domain.ids import digest_id, recipient_key
from notifier.domain.rule import Window
from notifier.errors import ConfigurationError
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.claims import person_of
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import milliseconds
from notifier.storage.spread import Spread
from notifier.storage.store import Store

#: Items whose content a window keeps; later ones only count. A digest of a thousand lines is not read anyway.
ITEMS_KEPT = 1000
#: Encrypted bytes a window keeps, because all of it travels in one task: about 1.5 MB of events.
BYTES_KEPT = 2 * 1024 * 1024
#: How long an item is remembered, so that a redelivered one joins no second window; seconds.
REMEMBERED_S = 7 * 86400.0
#: A window whose rule names no time closes after a day: none stays open for ever.
LONGEST_WINDOW_S = 86400.0
#: After this many seconds a window that was taken and not forgotten is due again: its sweeper died.
CLOSING_RETRY_S = 60.0

#: Before the id of an item whose content was not kept; no encrypted text starts with it.
_COUNTED = "-"
_DESTINATION: TypeAdapter[Destination] = TypeAdapter(Destination, config=ConfigDict(hide_input_in_errors=True))


@dataclass(frozen=True, slots=True)
class Item:
    """One delivery of a digest rule, to be collected."""

    delivery: Delivery
    event: Event
    window: Window
    """Its rule's."""


@dataclass(frozen=True, slots=True)
class Collected:
    """Which window took an item."""

    window: str
    """The delivery id of its first item."""
    fresh: bool
    """False when it was collected before."""


@dataclass(frozen=True, slots=True)
class WindowRef:
    """A window that is due."""

    group: str
    window: str
    tag: str = ""
    """Where it lies (`spread`)."""


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """Everything its digest is made of."""

    window: str
    """The delivery id of its first item, part of the digest's own id (`ids.digest_id`)."""
    rule: str
    to: Destination
    key: str
    events: tuple[Event, ...]
    """Those of the items whose content was kept, oldest first."""
    deliveries: tuple[str, ...]
    """Delivery ids of all items, kept or only counted."""
    opened: float
    closed: float
    expires: tuple[float, ...] = ()
    """When each of the events' items is of no use any more; 0 is never."""

    @property
    def total(self) -> int:
        """Items collected."""
        return len(self.deliveries)


#: Told of a window whose items are none, or are encrypted with another key.
Failed = Callable[[WindowRef, Exception], None]


class Digests:
    """Windows of items, one open per rule, recipient and key. Contents are encrypted."""

    def __init__(
        self,
        store: Store,
        cipher: Cipher,
        *,
        items_kept: int = ITEMS_KEPT,
    ) -> None:
        self._run = store.run
        self._spread = store.spread
        self._cipher = cipher
        self._items_kept = items_kept

    def collect(self, items: Sequence[Item], now: float) -> list[Collected]:
        """Put items into their windows in one round trip (three where a window fills up)."""
        return self._run(_collect(items, now, self._cipher, self._items_kept, self._spread))

    def take(self, now: float, until: float, limit: int = 100) -> list[WindowRef]:
        """Windows to close; nobody else gets them ``until`` then (`lease`). In each slot the longest due come first.

        Asked again with the same ``until``, because the reply was lost, it gives the same ones.
        """
        return self._run(_take(now, until, limit, self._spread))

    def close(self, refs: Sequence[WindowRef], now: float, failed: Failed) -> list[tuple[WindowRef, ClosedWindow]]:
        """Their contents in one round trip, the same on every call until `forget`; without those that are forgotten.

        ``failed`` is told of those that cannot be read.
        """
        return self._run(_close(refs, now, self._cipher, failed))

    def forget(self, refs: Sequence[WindowRef]) -> None:
        """After the tasks of their digests were confirmed; in one round trip."""
        self._run(_forget(refs))

    def count(self) -> int:
        """Windows that are open or not yet confirmed."""
        return self._run(_count(self._spread))


def read_destination(wire: Any) -> Destination:
    """Whom an item is for, as it is kept."""
    return _DESTINATION.validate_python(wire)


def lease(now: float) -> float:
    """Until when windows that are taken now are left to who takes them; of two that are taken at once not the same."""
    return now + CLOSING_RETRY_S - random.random() / 1000  # noqa: S311 - nobody gains by guessing it


def due_at(window: Window, now: float) -> float:
    """When a window that opens now closes."""
    ends = [now + LONGEST_WINDOW_S] if window.every is None and window.after_first is None else []
    if window.every is not None:
        ends.append((math.floor(now / window.every) + 1) * window.every)
    if window.after_first is not None:
        ends.append(now + window.after_first)
    return min(ends)


def _tag(to: Destination, spread: Spread) -> str:
    """The tag of a person's windows: whoever forgets them knows the key by which the ledger knows them."""
    return spread.tags[0] if spread.is_whole else spread.tag(person_of(to) or recipient_key(to.identity))


def _group(item: Item) -> str:
    """The name of a rule, recipient and key together; hashed, because a recipient may be an address."""
    return keys.short(digest_id(item.delivery.rule, item.delivery.to.identity, item.delivery.key, ""), "dlv_")


def _collect(
    items: Sequence[Item], now: float, cipher: Cipher, kept: int, spread: Spread
) -> Operation[list[Collected]]:
    groups = [(_group(item), _tag(item.delivery.to, spread)) for item in items]
    calls = [_collect_call(item, group, now, cipher, kept) for item, group in zip(items, groups, strict=True)]
    found: dict[int, Collected] = {}
    waiting = list(range(len(items)))
    while waiting:
        replies = yield [calls[i] for i in waiting]
        answers = {i: reply.split(" ") for i, reply in zip(waiting, replies, strict=True)}
        found |= {i: Collected(a[1], a[0] == "new") for i, a in answers.items() if a[0] != "full"}
        waiting = [i for i, a in answers.items() if a[0] == "full"]
        if full := {WindowRef(groups[i][0], answers[i][1], groups[i][1]): None for i in waiting}:
            yield [_close_call(ref, now, None) for ref in full]
    return [found[i] for i in range(len(items))]


def _collect_call(item: Item, of: tuple[str, str], now: float, cipher: Cipher, kept: int) -> Call:
    delivery, window, (group, tag) = item.delivery, item.window, of
    content = {
        "id": delivery.id,
        "to": delivery.to.model_dump(exclude_defaults=True),
        "key": delivery.key,
        "event": item.event.carried(),
        **({} if delivery.expires is None else {"expires": delivery.expires}),
    }
    return run_script(
        "collect",
        [
            keys.digest_item(delivery.id, tag),
            keys.digest_open(group, tag),
            keys.digest_open_items(group, tag),
            keys.digests_due(tag),
        ],
        delivery.id,
        group,
        milliseconds(due_at(window, now)),
        milliseconds(now),
        window.at_most or 0,
        item.delivery.rule,
        cipher.encrypt(content),
        milliseconds(REMEMBERED_S),
        kept,
        BYTES_KEPT,
    )


def _take(now: float, until: float, limit: int, spread: Spread) -> Operation[list[WindowRef]]:
    wanted = [(spread.tags[0], limit)] if spread.is_whole else (yield from _wanted(now, until, limit, spread))
    replies = yield [
        run_script("take_due", [keys.digests_due(tag)], milliseconds(now), count, _moment(until))
        for tag, count in wanted
    ]
    pairs = [(tag, member.split(" ")) for (tag, _), found in zip(wanted, replies, strict=True) for member in found]
    return [WindowRef(group, window, tag) for tag, (group, window) in pairs]


def _wanted(now: float, until: float, limit: int, spread: Spread) -> Operation[list[tuple[str, int]]]:
    """How many of which part: those taken before ``until`` this time, then of any part, so that none is always last."""
    ours, due = _moment(until), milliseconds(now)
    ranges = [(first, last) for first, last in ((ours, ours), ("-inf", due)) for _ in spread.tags]
    counts = yield [
        command("ZCOUNT", keys.digests_due(tag), first, last)
        for tag, (first, last) in zip(spread.tags * 2, ranges, strict=True)
    ]
    wanted = [(tag, limit) for tag, taken in zip(spread.tags, counts, strict=False) if taken]
    others = [(tag, count) for tag, count in zip(spread.tags, counts[len(spread.tags) :], strict=True) if count]
    random.shuffle(others)
    left = limit - sum(counts[: len(spread.tags)])
    for tag, count in others:
        if left > 0:
            wanted.append((tag, min(count, left)))
            left -= count
    # In one order, so that who asks again is answered the same.
    return sorted(wanted)


def _moment(until: float) -> str:
    return f"{until * 1000:.4f}"


def _close(
    refs: Sequence[WindowRef], now: float, cipher: Cipher, failed: Failed
) -> Operation[list[tuple[WindowRef, ClosedWindow]]]:
    replies = yield [_close_call(ref, now, now + CLOSING_RETRY_S) for ref in refs]
    closed = []
    for ref, reply in zip(refs, replies, strict=True):
        try:
            if reply is not None:
                closed.append((ref, _read(ref, reply, cipher)))
        except (ConfigurationError, ValueError, KeyError, IndexError) as error:
            failed(ref, error)
    return closed


def _read(ref: WindowRef, reply: Sequence[Any], cipher: Cipher) -> ClosedWindow:
    rule, opened, closed, texts = reply
    # Items that were only counted are kept as their bare id.
    kept: list[dict[str, Any]] = [cipher.decrypt(text) for text in texts if not text.startswith(_COUNTED)]
    counted = [text.removeprefix(_COUNTED) for text in texts if text.startswith(_COUNTED)]
    return ClosedWindow(
        window=ref.window,
        rule=rule,
        to=read_destination(kept[0]["to"]),
        key=kept[0]["key"],
        events=tuple(Event.from_attributes(content["event"]) for content in kept),
        deliveries=(*(content["id"] for content in kept), *counted),
        opened=int(opened) / 1000,
        closed=int(closed) / 1000,
        expires=tuple(content.get("expires", 0.0) for content in kept),
    )


def _close_call(ref: WindowRef, now: float, again: float | None) -> Call:
    return run_script(
        "close",
        [
            keys.digest_open(ref.group, ref.tag),
            keys.digest_open_items(ref.group, ref.tag),
            keys.digest_closing(ref.window, ref.tag),
            keys.digest_closing_items(ref.window, ref.tag),
            keys.digests_due(ref.tag),
        ],
        ref.window,
        _member(ref),
        milliseconds(now),
        "" if again is None else milliseconds(again),
    )


def _forget(refs: Sequence[WindowRef]) -> Operation[None]:
    parts: dict[str, list[WindowRef]] = {}
    for ref in refs:
        parts.setdefault(ref.tag, []).append(ref)
    yield [call for tag, of_it in parts.items() for call in _forget_calls(tag, of_it)]


def _forget_calls(tag: str, refs: Sequence[WindowRef]) -> Sequence[Call]:
    gone = [place for ref in refs for place in _closing(ref.window, tag)]
    return command("DEL", *gone), command("ZREM", keys.digests_due(tag), *map(_member, refs))


def _closing(window: str, tag: str) -> Sequence[str]:
    return keys.digest_closing(window, tag), keys.digest_closing_items(window, tag)


def _count(spread: Spread) -> Operation[int]:
    counts = yield [command("ZCARD", keys.digests_due(tag)) for tag in spread.tags]
    return sum(counts)


def _member(ref: WindowRef) -> str:
    return f"{ref.group} {ref.window}"
