"""Taking a person out of what Redis keeps, as operations: the ledger and open digests."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from notifier.domain.delivery import DeliveryRecord, Status
from notifier.domain.rule import Collecting
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.feed import Bounds, Ended, feed_calls
from notifier.storage.ledger import Retention
from notifier.storage.lookup import deliveries as records_of
from notifier.storage.packs import Packs
from notifier.storage.people import deliveries_to, drop
from notifier.storage.records import stamp
from notifier.storage.store import Store
from notifier.storage.unpacking import unpack

#: Records looked at in one round trip.
CHUNK = 500
_WAITING = (Status.QUEUED, Status.DEFERRED, Status.HELD)


@dataclass(frozen=True, slots=True)
class Window:
    """An open digest window of the person."""

    group: str
    window: str
    items: int
    tag: str = ""
    """Where it lies (`spread`)."""


@dataclass(frozen=True, slots=True)
class Known:
    """Deliveries the ledger knows of a person."""

    ids: tuple[str, ...] = ()
    waiting: int = 0
    """Queued, deferred or held."""
    sending: int = 0
    """Under way at this moment: what comes back may still quote the address."""
    collected: tuple[str, ...] = ()
    """Items that wait in digest windows, or are being put into one."""


class Traces:
    """Finds and erases; every call may be repeated. Raises `StorageUnavailable`."""

    def __init__(
        self,
        store: Store,
        cipher: Cipher,
        clock: Callable[[], float] = time.time,
        retention: Retention | None = None,
    ) -> None:
        self._run = store.run
        self._cipher = cipher
        self._clock = clock
        keep = retention or Retention()
        self._keep, self._bounds = keep.longest, keep.feed
        self._packs = Packs(spread=store.spread)

    def deliveries(self, person_keys: Sequence[str]) -> Known:
        """What the ledger's index of people knows."""
        return self._run(_known(self._packs, person_keys, self._clock(), self._keep))

    def windows(self, items: Sequence[str], person_keys: Sequence[str]) -> list[Window]:
        """Open and closing digest windows that took these items (`Known.collected`) of a person."""
        tags = [tag for tag, _ in self._packs.spread.parts(person_keys)]
        return self._run(_windows(items, tags))

    def erase_deliveries(self, ids: Sequence[str]) -> int:
        """Destinations, reasons and replies go, that something was sent stays; what waited ends as skipped."""
        return self._run(_erase(self._packs, ids, self._clock(), self._bounds))

    def drop_windows(self, windows: Sequence[Window]) -> list[str]:
        """Nothing of them is sent; returns the ids of their items' deliveries."""
        return self._run(_drop(windows, self._cipher))

    def drop_index(self, person_keys: Sequence[str]) -> None:
        """Last of all: without it nobody finds the rest again."""
        self._run(drop(person_keys, self._clock(), self._keep))


def _known(packs: Packs, person_keys: Sequence[str], now: float, keep: float) -> Operation[Known]:
    ids = tuple((yield from deliveries_to(person_keys, now, keep)))
    found: list[DeliveryRecord] = []
    for start in range(0, len(ids), CHUNK):
        records = yield from records_of(packs, ids[start : start + CHUNK])
        found += (record for record in records if record is not None)
    statuses = [record.status for record in found]
    collected = (r.id for r in found if r.channel is Collecting.DIGEST and r.status in (Status.HELD, Status.SENDING))
    waiting = sum(status in _WAITING for status in statuses)
    return Known(ids, waiting, statuses.count(Status.SENDING), tuple(collected))


def _erase(packs: Packs, ids: Sequence[str], now: float, bounds: Bounds | None = None) -> Operation[int]:
    before: list[str] = []
    for start in range(0, len(ids), CHUNK):
        names = [packs.delivery(i) for i in ids[start : start + CHUNK]]
        erase = [run_script("forget", [name], stamp(now)) for name in names]
        # What waited ends here, and the history has what is left of the others in their place.
        ahead = feed_calls([Ended(i) for i in ids[start : start + CHUNK]], bounds) if bounds else []
        statuses = (yield [*ahead, *erase])[len(ahead) :]
        # Those that were sent lie in buckets, or went there this very moment; they are records again to be changed.
        absent = [place for place, status in enumerate(statuses) if not status]
        unpacked = yield from unpack(packs, [names[place] for place in absent])
        if any(unpacked):
            again = yield [erase[place] for place in absent]
            for place, status in zip(absent, again, strict=True):
                statuses[place] = status
        before += statuses
    return sum(1 for status in before if status)


def _windows(items: Sequence[str], tags: Sequence[str]) -> Operation[list[Window]]:
    """By the items' markers; those of a release before do not say which group it is."""
    places = [(item, tag) for item in items for tag in tags]
    markers = yield [command("GET", keys.digest_item(*place)) for place in places]
    named = dict.fromkeys((marker, tag) for marker, (_, tag) in zip(markers, places, strict=True) if marker)
    found: list[Window] = []
    for marker, tag in named:
        window, _, group = marker.partition(" ")
        groups = [group] if group else (yield from _groups_of(window))
        found += (Window(one, window, 0, tag) for one in groups)
    replies = yield [call for one in found for call in _look(one)]
    looks = zip(found, replies[::4], replies[1::4], replies[2::4], replies[3::4], strict=True)
    return [
        replace(one, items=open_items if open_window == one.window else closing_items)
        for one, open_window, open_items, is_closing, closing_items in looks
        if open_window == one.window or is_closing
    ]


def _groups_of(window: str) -> Operation[list[str]]:
    """Of a window that a release before opened, none of which knew a Cluster: looked for among all that are due."""
    cursor = "0"
    while True:
        (reply,) = yield [command("ZSCAN", keys.digests_due(), cursor, "MATCH", f"* {window}", "COUNT", CHUNK)]
        cursor, members = str(reply[0]), reply[1]
        if members:
            return [member.partition(" ")[0] for member, _ in members]
        if cursor == "0":
            return []


def _look(one: Window) -> list[Call]:
    """Which window is open with how many items, and whether this one is closing, with how many."""
    return [
        command("HGET", keys.digest_open(one.group, one.tag), "window"),
        command("LLEN", keys.digest_open_items(one.group, one.tag)),
        command("EXISTS", keys.digest_closing(one.window, one.tag)),
        command("LLEN", keys.digest_closing_items(one.window, one.tag)),
    ]


def _drop(windows: Sequence[Window], cipher: Cipher) -> Operation[list[str]]:
    if not windows:
        return []
    replies = yield [
        run_script(
            "drop_window",
            [
                keys.digest_open(one.group, one.tag),
                keys.digest_open_items(one.group, one.tag),
                keys.digest_closing(one.window, one.tag),
                keys.digest_closing_items(one.window, one.tag),
                keys.digests_due(one.tag),
            ],
            one.window,
            f"{one.group} {one.window}",
        )
        for one in windows
    ]
    texts = [text for items in replies for text in items]
    return [text[1:] if text.startswith("-") else str(cipher.decrypt(text)["id"]) for text in texts]
