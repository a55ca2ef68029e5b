"""Which deliveries went to one person, as operations: for listings, and for forgetting somebody.

People whose keys begin alike share a bucket, a list with an entry for each delivery: a key for each person cost 160
bytes with one delivery, and most people get few. When a bucket has `FULL` entries, what follows goes to 32 buckets of
one letter more, so that none is long however many deliveries there are. Nothing is moved; whoever reads looks at all
depths. Writers know by the reply how long a bucket is, so nobody has to agree with anybody on a depth. A bucket is of
one period and expires as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command
from notifier.storage.earlier_people import blank, read_earlier
from notifier.storage.records import milliseconds

#: Letters of a person's key that name them within a bucket, which has the first: 75 bits of the 128 at the least.
_FIRST, _PERSON = 1, 14
PERIOD_S = 30 * 86400.0
#: Entries of a bucket after which the next depth is written to; 40 kB, which Redis reads in 0.1 ms.
FULL = 1000
#: Letters of the longest bucket names: 33 million buckets for each period.
DEEPEST = 5
#: Notes in a row that found no room at a depth until the next ones do not look there any more.
_PATIENCE = 256
#: Full buckets that a process remembers.
_REMEMBERED = 10_000
#: Entries read by one command: longer lists, of a person who gets very many, are read in parts.
_CHUNK = 2000
#: Seconds that are looked back at the least; more, where records are kept for longer.
_LOOK_BACK_S = 390 * 86400.0


class Depths:
    """Where one process writes: how deep, and which buckets there are full.

    A list to which one person alone is written fills up at each depth. That is remembered of its buckets and moves
    nobody else, who would have a bucket each.
    """

    __slots__ = ("_depth", "_full", "_in_vain", "_period")

    def __init__(self) -> None:
        self._period, self._depth, self._in_vain = 0, 1, 0
        self._full: set[str] = set()

    def bucket(self, letters: str, period: int) -> str:
        """The bucket to write to."""
        if period != self._period:
            self._begin(period)
        depth = self._depth
        while depth < DEEPEST and letters[:depth] in self._full:
            depth += 1
        return letters[:depth]

    def learn(self, bucket: str, entries: int) -> None:
        """How many a bucket has now."""
        if entries < FULL and len(bucket) == self._depth:
            self._in_vain = 0
            return
        if entries >= FULL and len(bucket) < DEEPEST:
            if len(self._full) >= _REMEMBERED:
                self._full.clear()
            self._full.add(bucket)
        self._in_vain += 1
        if self._in_vain >= _PATIENCE and self._depth < DEEPEST:
            self._depth, self._in_vain = self._depth + 1, 0

    def _begin(self, period: int) -> None:
        self._period, self._depth, self._in_vain = period, 1, 0
        self._full.clear()


class Notes:
    """(person, delivery) pairs to be noted, in the round trip that is made anyway. Doubled notes are read as one."""

    __slots__ = ("_buckets", "_depths", "calls")

    def __init__(self, depths: Depths, claimed: Iterable[tuple[str, str]], *, now: float, keep: float) -> None:
        period, ttl = _period(now), milliseconds(keep)
        added: dict[str, list[str]] = {}
        for person, delivery_id in claimed:
            letters = _letters(person)
            entry = letters[_FIRST:] + keys.short(delivery_id, "dlv_")
            added.setdefault(depths.bucket(letters, period), []).append(entry)
        self._depths = depths
        self._buckets = tuple(added)
        self.calls: list[Call] = []
        for bucket, entries in added.items():
            key = keys.people_list(bucket, period)
            self.calls += (command("RPUSH", key, *entries), command("PEXPIRE", key, ttl))

    def learn(self, replies: Sequence[int]) -> None:
        """From the replies to ``calls``."""
        for bucket, entries in zip(self._buckets, replies[::2], strict=True):
            self._depths.learn(bucket, entries)


def deliveries_to(people: Sequence[str], now: float, keep: float = 0.0) -> Operation[list[str]]:
    """Ids of deliveries to any of these people, those of the oldest period first; ``keep``: how long records are."""
    found: dict[str, None] = dict.fromkeys((yield from read_earlier(people, _period(now))))
    for entries in (yield from _read(people, now, keep)).values():
        found |= dict.fromkeys(keys.full(entry[_PERSON:], "dlv_") for entry in entries)
    return list(found)


def drop(people: Sequence[str], now: float, keep: float = 0.0) -> Operation[None]:
    """Nobody finds these people's deliveries by them any more."""
    yield from blank(people, _period(now))
    found = yield from _read(people, now, keep)
    # One at a time and from the head, where that of a person who has a long list alone is found at once.
    yield [command("LREM", key, 1, entry) for key, entries in found.items() for entry in entries]


def _read(people: Sequence[str], now: float, keep: float) -> Operation[dict[str, list[str]]]:
    """Lists that have entries of theirs, and these; the oldest periods first."""
    wanted: dict[str, list[str]] = {}
    for period in _periods(now, keep):
        for person in people:
            letters = _letters(person)
            for depth in range(1, DEEPEST + 1):
                wanted.setdefault(keys.people_list(letters[:depth], period), []).append(letters[_FIRST:])
    lists = yield from _read_lists(list(wanted))
    found = {key: [e for e in lists[key] if e[:_PERSON] in names] for key, names in wanted.items()}
    return {key: entries for key, entries in found.items() if entries}


def _read_lists(names: Sequence[str]) -> Operation[dict[str, list[str]]]:
    found: dict[str, list[str]] = {name: [] for name in names}
    waiting = list(names)
    while waiting:
        replies = yield [command("LRANGE", n, len(found[n]), len(found[n]) + _CHUNK - 1) for n in waiting]
        for name, reply in zip(waiting, replies, strict=True):
            found[name] += reply
        waiting = [name for name, reply in zip(waiting, replies, strict=True) if len(reply) == _CHUNK]
    return found


def _letters(person: str) -> str:
    """Of a person's key, always as many."""
    return keys.short(person, "rcp_").ljust(_FIRST + _PERSON, "~")[: _FIRST + _PERSON]


def _periods(now: float, keep: float) -> range:
    return range(_period(now - max(keep, _LOOK_BACK_S)), _period(now) + 1)


def _period(now: float) -> int:
    return int(now // PERIOD_S)
