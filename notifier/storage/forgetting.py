"""Taking a person out of what Redis keeps, as operations: the ledger and open digests."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from notifier.domain.delivery import DeliveryRecord, Status
from notifier.domain.rule import Collecting
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Call, Operation, command, run_script
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
        self._keep = (retention or Retention()).longest
        self._packs = Packs(spread=store.spread)

    def deliveries(self, person_keys: Sequence[str]) -> Known:
        """What the ledger's index of people knows."""
        return self._run(_known(self._packs, person_keys, self._clock(), self._keep))

    def windows(self, items: Sequence[str]) -> list[Window]:
        """Open and closing digest windows that took these items (`Known.collected`)."""
        return self._run(_windows(items))

    def erase_deliveries(self, ids: Sequence[str]) -> int:
        """Destinations, reasons and replies go, that something was sent stays; what waited ends as skipped."""
        return self._run(_erase(self._packs, ids, self._clock()))

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


def _erase(packs: Packs, ids: Sequence[str], now: float) -> Operation[int]:
    before: list[str] = []
    for start in range(0, len(ids), CHUNK):
        names = [packs.delivery(i) for i in ids[start : start + CHUNK]]
        erase = [run_script("forget", [name], stamp(now)) for name in names]
        statuses = yield erase
        # Those that were sent lie in buckets, or went there this very moment; they are records again to be changed.
        absent = [place for place, status in enumerate(statuses) if not status]
        unpacked = yield from unpack(packs, [names[place] for place in absent])
        if any(unpacked):
            again = yield [erase[place] for place in absent]
            for place, status in zip(absent, again, strict=True):
                statuses[place] = status
        before += statuses
    return sum(1 for status in before if status)


def _windows(items: Sequence[str]) -> Operation[list[Window]]:
    """By the items' markers; those of a release before do not say which group it is."""
    markers = yield [command("GET", keys.digest_item(item)) for item in items]
    named = dict.fromkeys(marker for marker in markers if marker)
    pairs: list[tuple[str, str]] = []
    for marker in named:
        window, _, group = marker.partition(" ")
        pairs += [(group, window)] if group else (yield from _pairs_of(window))
    replies = yield [call for pair in pairs for call in _look(*pair)]
    found = []
    for place, (group, window) in enumerate(pairs):
        open_window, open_items, is_closing, closing_items = replies[4 * place : 4 * place + 4]
        if open_window == window or is_closing:
            found.append(Window(group, window, open_items if open_window == window else closing_items))
    return found


def _pairs_of(window: str) -> Operation[list[tuple[str, str]]]:
    """Group and window, looked for among all that are due some time."""
    cursor = "0"
    while True:
        (reply,) = yield [command("ZSCAN", keys.digests_due(), cursor, "MATCH", f"* {window}", "COUNT", CHUNK)]
        cursor, members = str(reply[0]), reply[1]
        if members:
            return [(member.partition(" ")[0], window) for member, _ in members]
        if cursor == "0":
            return []


def _look(group: str, window: str) -> list[Call]:
    """Which window is open with how many items, and whether this one is closing, with how many."""
    return [
        command("HGET", keys.digest_open(group), "window"),
        command("LLEN", keys.digest_open_items(group)),
        command("EXISTS", keys.digest_closing(window)),
        command("LLEN", keys.digest_closing_items(window)),
    ]


def _drop(windows: Sequence[Window], cipher: Cipher) -> Operation[list[str]]:
    if not windows:
        return []
    replies = yield [
        run_script(
            "drop_window",
            [
                keys.digest_open(one.group),
                keys.digest_open_items(one.group),
                keys.digest_closing(one.window),
                keys.digest_closing_items(one.window),
                keys.digests_due(),
            ],
            one.window,
            f"{one.group} {one.window}",
        )
        for one in windows
    ]
    texts = [text for items in replies for text in items]
    return [text[1:] if text.startswith("-") else str(cipher.decrypt(text)["id"]) for text in texts]
