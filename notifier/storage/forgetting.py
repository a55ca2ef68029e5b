"""Taking a person out of what Redis keeps, as operations: the ledger, open digests, and finding their ids."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from notifier.domain.contacts import PHONE, contact_identity
from notifier.domain.delivery import DeliveryRecord, Status
from notifier.domain.ids import recipient_key
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.digests import read_destination
from notifier.storage.lookup import deliveries as records_of
from notifier.storage.packs import Packs
from notifier.storage.people import deliveries_to, drop
from notifier.storage.records import stamp
from notifier.storage.store import Store
from notifier.storage.unpacking import unpack

#: Records or windows looked at in one round trip.
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


class Traces:
    """Finds and erases; every call may be repeated. Raises `StorageUnavailable`."""

    def __init__(self, store: Store, cipher: Cipher, clock: Callable[[], float] = time.time) -> None:
        self._run = store.run
        self._cipher = cipher
        self._clock = clock
        self._packs = Packs()

    def ids_of(self, person_key: str) -> list[str]:
        """Ids of the recipients with this address; reads all of them, because addresses are encrypted."""
        return self._run(_ids_of(person_key, self._cipher))

    def deliveries(self, person_keys: Sequence[str]) -> Known:
        """What the ledger's index of people knows."""
        return self._run(_known(self._packs, person_keys, self._clock()))

    def windows(self, identities: Collection[str]) -> list[Window]:
        """Open and closing digest windows of any of these destinations (`Destination.identity`); reads all windows."""
        return self._run(_windows(identities, self._cipher))

    def erase_deliveries(self, ids: Sequence[str]) -> int:
        """Destinations, reasons and replies go, that something was sent stays; what waited ends as skipped."""
        return self._run(_erase(self._packs, ids, self._clock()))

    def drop_windows(self, windows: Sequence[Window]) -> list[str]:
        """Nothing of them is sent; returns the ids of their items' deliveries."""
        return self._run(_drop(windows, self._cipher))

    def drop_index(self, person_keys: Sequence[str]) -> None:
        """Last of all: without it nobody finds the rest again."""
        self._run(drop(person_keys, self._clock()))


def _ids_of(person_key: str, cipher: Cipher) -> Operation[list[str]]:
    by_mail = yield from _where(keys.recipients(), lambda text: recipient_key(cipher.decrypt(text)[0]) == person_key)
    elsewhere = yield from _where(
        keys.recipient_addresses(), lambda text: person_key in _recipient_keys(*cipher.decrypt(text))
    )
    return sorted(by_mail | elsewhere)


def _recipient_keys(phone: str, addresses: Mapping[str, str]) -> set[str]:
    found = {recipient_key(contact_identity(kind, at)) for kind, at in addresses.items()}
    return found | {recipient_key(contact_identity(PHONE, phone))} if phone else found


def _where(key: str, fits: Callable[[str], bool]) -> Operation[set[str]]:
    found: set[str] = set()
    cursor = "0"
    while True:
        (reply,) = yield [command("HSCAN", key, cursor, "COUNT", CHUNK)]
        following, entries = reply
        found |= {i for i, text in entries.items() if fits(text)}
        cursor = str(following)
        if cursor == "0":
            return found


def _known(packs: Packs, person_keys: Sequence[str], now: float) -> Operation[Known]:
    ids = tuple((yield from deliveries_to(person_keys, now)))
    found: list[DeliveryRecord | None] = yield from records_of(packs, ids)
    statuses = [record.status for record in found if record is not None]
    return Known(ids, sum(status in _WAITING for status in statuses), statuses.count(Status.SENDING))


def _erase(packs: Packs, ids: Sequence[str], now: float) -> Operation[int]:
    before: list[str] = []
    for start in range(0, len(ids), CHUNK):
        names = [keys.delivery(i) for i in ids[start : start + CHUNK]]
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


def _windows(identities: Collection[str], cipher: Cipher) -> Operation[list[Window]]:
    found: list[Window] = []
    start = 0
    while True:
        (members,) = yield [command("ZRANGE", keys.digests_due(), start, start + CHUNK - 1)]
        if not members:
            return found
        pairs = [member.split(" ") for member in members]
        replies = yield [call for pair in pairs for call in _look(*pair)]
        for place, (group, window) in enumerate(pairs):
            open_window, opened, open_items, closing, closing_items = replies[5 * place : 5 * place + 5]
            first, items = (opened, open_items) if open_window == window else (closing, closing_items)
            if first and read_destination(cipher.decrypt(first)["to"]).identity in identities:
                found.append(Window(group, window, items))
        start += CHUNK


def _look(group: str, window: str) -> list[Call]:
    """Which window is open, and the first item (it says for whom) and the number of items, open and closing."""
    opened, closing = keys.digest_open_items(group), keys.digest_closing_items(window)
    return [
        command("HGET", keys.digest_open(group), "window"),
        *(command(*words) for place in (opened, closing) for words in (("LINDEX", place, 0), ("LLEN", place))),
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
