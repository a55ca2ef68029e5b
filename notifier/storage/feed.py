"""What ended, for the history: a stream beside the ledger, and the operations on it.

Each call that ends deliveries notes their ids first, in the same pipeline, so that a crash leaves at worst an id whose
record has not ended. An entry holds what one call ended: 50 to 58 bytes of Redis a delivery. Whoever moves removes
all up to the last entry that it read: done twice, or by somebody who slept meanwhile, that removes nothing unread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from notifier.domain.value import value
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import milliseconds
from notifier.storage.store import Store

#: Letters of a person's key that are kept: 80 bits of 128.
PERSON = 16
_EVENT, _DELIVERY = "evt_", "dlv_"
#: Ids of one entry: half a Redis pipeline.
_TOGETHER = 500


@value
class Ended:
    """A delivery that ended, or an event that was planned, parked or noted."""

    id: str
    person: str = ""
    """The first letters of the key of who got it, if that is a person."""


@value
class Waiting:
    """What one look at a stream found."""

    part: int
    last: str
    """The last entry that was read."""
    ended: tuple[Ended, ...]


def person_letters(recipient_key: str) -> str:
    """As much of a person's key as the history keeps."""
    return keys.short(recipient_key, "rcp_")[:PERSON]


def feed_calls(ended: Sequence[Ended], keep: float) -> list[Call]:
    """Note these, to be kept for so many seconds at most."""
    calls: list[Call] = []
    for start in range(0, len(ended), _TOGETHER):
        group = ended[start : start + _TOGETHER]
        # One stream of several for each call, so that a Cluster spreads them.
        part = sum(map(ord, group[0].id[-3:])) % keys.ENDED_PARTS
        text = ",".join(map(_text, group))
        calls.append(run_script("feed", [keys.ended(part), keys.given_up(part)], milliseconds(keep), text))
    return calls


def _text(one: Ended) -> str:
    if one.id.startswith(_EVENT):
        return "e" + keys.short(one.id, _EVENT)
    return f"d{keys.short(one.id, _DELIVERY)}" + (f" {one.person}" if one.person else "")


def _ended(text: str) -> Ended:
    identity, _, person = text[1:].partition(" ")
    return Ended(keys.full(identity, _EVENT if text[0] == "e" else _DELIVERY), person)


class Feed:
    """The streams, for whoever moves. Raises `StorageUnavailable`."""

    def __init__(self, store: Store) -> None:
        self._run = store.run

    def look(self, part: int, *, entries: int, settled: float) -> Waiting | None:
        """The oldest entries of a stream that are at least ``settled`` seconds old: what they name has ended by now."""
        return self._run(_look(part, entries, settled))

    def remove(self, waiting: Waiting, again: Sequence[Ended], keep: float) -> None:
        """What was read has been moved; ``again`` is to be looked at once more, later."""
        self._run(_remove(waiting, again, keep))

    def lengths(self) -> tuple[int, int]:
        """Entries that wait, and what was given up because nobody moved it for too long."""
        return self._run(_lengths())


def _look(part: int, entries: int, settled: float) -> Operation[Waiting | None]:
    seconds, entry_list = yield [command("TIME"), command("XRANGE", keys.ended(part), "-", "+", "COUNT", entries)]
    newest = (seconds[0] + seconds[1] / 1e6 - settled) * 1000
    old = [(i, fields) for i, fields in entry_list if int(i.partition("-")[0]) <= newest]
    if not old:
        return None
    return Waiting(part, old[-1][0], tuple(_entries(old)))


def _entries(entries: Iterable[tuple[str, Any]]) -> Iterable[Ended]:
    found: dict[str, Ended] = {}
    for _, fields in entries:
        text = fields["e"] if isinstance(fields, dict) else fields[1]
        for one in map(_ended, text.split(",")):
            if one.id not in found or one.person:
                found[one.id] = one
    return found.values()


def _remove(waiting: Waiting, again: Sequence[Ended], keep: float) -> Operation[None]:
    if again:
        yield feed_calls(again, keep)
    milli, _, number = waiting.last.partition("-")
    yield [command("XTRIM", keys.ended(waiting.part), "MINID", "=", f"{milli}-{int(number) + 1}")]


def _lengths() -> Operation[tuple[int, int]]:
    parts = range(keys.ENDED_PARTS)
    replies = yield [
        *(command("XLEN", keys.ended(part)) for part in parts),
        *(command("GET", keys.given_up(part)) for part in parts),
    ]
    return sum(replies[: len(parts)]), sum(int(count or 0) for count in replies[len(parts) :])
