"""What ended, for the history: streams beside the ledger, and the operations on them.

Each call that ends deliveries notes their ids first, in the same pipeline, so that a crash leaves at worst an id whose
record has not ended; what ends it later notes it again. An entry holds what one call ended: 50 to 65 bytes of Redis a
delivery. Whoever moves removes all up to the last entry that it read: done twice, or by somebody who slept meanwhile,
that removes nothing unread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from notifier.domain.value import value
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import milliseconds
from notifier.storage.store import Store

#: Letters of a person's key that are kept: 80 bits of 128.
PERSON = 16
_EVENT, _DELIVERY = "evt_", "dlv_"
#: Ids of one entry at most, half a Redis pipeline; one look at a stream ends with the entry that makes it as many.
TOGETHER = 500
#: Entries that one look reads of a stream at most.
ENTRIES = 250


@value
class Bounds:
    """What may wait for the history; beyond it the oldest is given up, and counted."""

    keep: float
    """Seconds: the records of what waits longer have expired."""
    most: int
    """Deliveries and events."""


@value
class Ended:
    """A delivery that ended, or an event that was planned, parked or noted."""

    id: str
    person: str = ""
    """The first letters of the key of who got it, if that is a person."""

    @property
    def is_event(self) -> bool:
        """Of an event; else of a delivery."""
        return self.id.startswith(_EVENT)


@value
class Waiting:
    """What one look at a stream found."""

    part: int
    last: str
    """The last entry that was read."""
    ended: tuple[Ended, ...]


@value
class Backlog:
    """How far the history is behind."""

    waiting: int
    """Deliveries and events."""
    since: float | None
    """Unix seconds of the oldest; None when nothing waits."""
    given_up: int
    """Ever, because nobody moved it for too long."""


def person_letters(recipient_key: str) -> str:
    """As much of a person's key as the history keeps."""
    return keys.short(recipient_key, "rcp_")[:PERSON]


def feed_calls(ended: Sequence[Ended], bounds: Bounds) -> list[Call]:
    """Note these."""
    calls: list[Call] = []
    most = max(bounds.most // keys.ENDED_PARTS, 2 * TOGETHER)
    for start in range(0, len(ended), TOGETHER):
        group = ended[start : start + TOGETHER]
        # One stream of several for each call, so that a Cluster spreads them.
        part = sum(map(ord, group[0].id[-3:])) % keys.ENDED_PARTS
        names = [keys.ended(part), keys.ended_total(part), keys.given_up(part)]
        calls.append(run_script("feed", names, milliseconds(bounds.keep), most, ",".join(map(_text, group))))
    return calls


def _text(one: Ended) -> str:
    if one.is_event:
        return "e" + keys.short(one.id, _EVENT)
    return f"d{keys.short(one.id, _DELIVERY)}" + (f" {one.person}" if one.person else "")


def _ended(text: str) -> Ended:
    identity, _, person = text[1:].partition(" ")
    return Ended(keys.full(identity, _EVENT if text[0] == "e" else _DELIVERY), person)


class Feed:
    """The streams, for whoever moves. Raises `StorageUnavailable`."""

    def __init__(self, store: Store) -> None:
        self._run = store.run

    def look(self, settled: float) -> list[Waiting]:
        """The oldest entries of each stream that are at least ``settled`` seconds old: what they name has ended."""
        return self._run(_look(settled))

    def remove(self, looks: Sequence[Waiting]) -> None:
        """What was read has been moved."""
        self._run(_remove(looks))

    def backlog(self) -> Backlog:
        """What waits, and what was given up."""
        return self._run(_backlog())


def _look(settled: float) -> Operation[list[Waiting]]:
    parts = range(keys.ENDED_PARTS)
    reads = [command("XRANGE", keys.ended(part), "-", "+", "COUNT", ENTRIES) for part in parts]
    seconds, *lists = yield [command("TIME"), *reads]
    newest = (seconds[0] + seconds[1] / 1e6 - settled) * 1000
    looks = []
    for part, entries in zip(parts, lists, strict=True):
        last, found = "", dict[str, Ended]()
        for entry, fields in entries:
            if int(entry.partition("-")[0]) > newest or len(found) >= TOGETHER:
                break
            last = entry
            for one in map(_ended, _field(fields, "e").split(",")):
                if one.person or one.id not in found:
                    found[one.id] = one
        if last:
            looks.append(Waiting(part, last, tuple(found.values())))
    return looks


def _field(fields: Any, name: str) -> str:
    """Of an entry, which clients give as a table or as a flat list."""
    table = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    return str(table[name])


def _remove(looks: Sequence[Waiting]) -> Operation[None]:
    calls = []
    for one in looks:
        milli, _, number = one.last.partition("-")
        calls.append(command("XTRIM", keys.ended(one.part), "MINID", "=", f"{milli}-{int(number) + 1}"))
    yield calls


def _backlog() -> Operation[Backlog]:
    parts = range(keys.ENDED_PARTS)
    replies = yield [
        *(command("XRANGE", keys.ended(part), "-", "+", "COUNT", 1) for part in parts),
        *(command("GET", keys.ended_total(part)) for part in parts),
        *(command("GET", keys.given_up(part)) for part in parts),
    ]
    firsts, totals, given_up = replies[: len(parts)], replies[len(parts) : -len(parts)], replies[-len(parts) :]
    waiting = [(entries[0], int(total or 0)) for entries, total in zip(firsts, totals, strict=True) if entries]
    return Backlog(
        waiting=sum(total - int(_field(fields, "t")) for (_, fields), total in waiting),
        since=min((int(i.partition("-")[0]) / 1000 for (i, _), _ in waiting), default=None),
        given_up=sum(int(count or 0) for count in given_up),
    )
