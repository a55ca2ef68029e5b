"""`Digests`: open windows that collect items, closed once each, so that a crash anywhere loses and doubles nothing.

An item is one delivery of a digest rule. The first one opens a window, named after it, for its group (rule, recipient,
key); each script changes the window, the item's marker and the index of due windows together. Closing moves the window
aside (new items open another) and gives the same content again until `forget`, which comes after the digest's task was
confirmed: a crash in between repeats a publish with the same delivery id, and its claim makes that harmless.
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
from notifier.domain.ids import digest_id
from notifier.domain.rule import Window
from notifier.errors import ConfigurationError
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import milliseconds
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
        self._cipher = cipher
        self._items_kept = items_kept

    def collect(self, items: Sequence[Item], now: float) -> list[Collected]:
        """Put items into their windows in one round trip (three where a window fills up)."""
        return self._run(_collect(items, now, self._cipher, self._items_kept))

    def take(self, now: float, until: float, limit: int = 100) -> list[WindowRef]:
        """Windows to close, the longest due first; nobody else gets them ``until`` then (`lease`).

        Asked again with the same ``until``, because the reply was lost, it gives the same ones.
        """
        return self._run(_take(now, until, limit))

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
        return self._run(_count())


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


def _group(item: Item) -> str:
    """The name of a rule, recipient and key together; hashed, because a recipient may be an address."""
    return keys.short(digest_id(item.delivery.rule, item.delivery.to.identity, item.delivery.key, ""), "dlv_")


def _collect(items: Sequence[Item], now: float, cipher: Cipher, kept: int) -> Operation[list[Collected]]:
    groups = [_group(item) for item in items]
    calls = [_collect_call(item, group, now, cipher, kept) for item, group in zip(items, groups, strict=True)]
    found: dict[int, Collected] = {}
    waiting = list(range(len(items)))
    while waiting:
        replies = yield [calls[i] for i in waiting]
        answers = {i: reply.split(" ") for i, reply in zip(waiting, replies, strict=True)}
        found |= {i: Collected(a[1], a[0] == "new") for i, a in answers.items() if a[0] != "full"}
        waiting = [i for i, a in answers.items() if a[0] == "full"]
        if full := {WindowRef(groups[i], answers[i][1]): None for i in waiting}:
            yield [_close_call(ref, now, None) for ref in full]
    return [found[i] for i in range(len(items))]


def _collect_call(item: Item, group: str, now: float, cipher: Cipher, kept: int) -> Call:
    delivery, window = item.delivery, item.window
    content = {
        "id": delivery.id,
        "to": delivery.to.model_dump(exclude_defaults=True),
        "key": delivery.key,
        "event": item.event.carried(),
        **({} if delivery.expires is None else {"expires": delivery.expires}),
    }
    return run_script(
        "collect",
        [keys.digest_item(delivery.id), keys.digest_open(group), keys.digest_open_items(group), keys.digests_due()],
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


def _take(now: float, until: float, limit: int) -> Operation[list[WindowRef]]:
    call = run_script("take_due", [keys.digests_due()], milliseconds(now), limit, f"{until * 1000:.4f}")
    (found,) = yield [call]
    return [WindowRef(*member.split(" ")) for member in found]


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
            keys.digest_open(ref.group),
            keys.digest_open_items(ref.group),
            keys.digest_closing(ref.window),
            keys.digest_closing_items(ref.window),
            keys.digests_due(),
        ],
        ref.window,
        _member(ref),
        milliseconds(now),
        "" if again is None else milliseconds(again),
    )


def _forget(refs: Sequence[WindowRef]) -> Operation[None]:
    gone = [key for ref in refs for key in (keys.digest_closing(ref.window), keys.digest_closing_items(ref.window))]
    yield [command("DEL", *gone), command("ZREM", keys.digests_due(), *map(_member, refs))]


def _count() -> Operation[int]:
    (count,) = yield [command("ZCARD", keys.digests_due())]
    return int(count)


def _member(ref: WindowRef) -> str:
    return f"{ref.group} {ref.window}"
