"""`ParkedIndex`: what lies in the failure queues, for looking, searching and counting without touching a queue.

The queues hold the truth; this index is written after a confirmed park and can be rebuilt from them. One sorted set per
queue and cause, by time: its size is the count, so counts cannot drift, and pages come from the server. The other
filters are applied to what a page reads.
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked
from notifier.domain.topology import FAILURE_QUEUES
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import milliseconds
from notifier.storage.store import Store
from notifier.storage.walks import begin_walk, end_walk

#: Entries one search reads before it returns what it found with a cursor: a filter that matches nothing among hundreds
#: of thousands must not delay a request for seconds.
SCAN_LIMIT = 20_000
#: Entries read in one round trip.
CHUNK = 500
#: What `ParkedPage.cursor` looks like, as a regular expression.
CURSOR = r"[0-9]{1,15}\.[A-Za-z0-9_-]{1,64}"


@dataclass(frozen=True, slots=True)
class ParkedFilter:
    """Which entries to look at; what is empty does not restrict."""

    queue: str = ""
    """``failed-email`` …"""
    cause: Cause | None = None
    rule: str = ""
    rules: tuple[str, ...] = ()
    """Those of one channel file."""
    tenant: str = ""
    event_type: str = ""
    newer_than: float | None = None
    """Unix seconds: parked then or later."""
    older_than: float | None = None
    """Unix seconds: parked earlier."""
    ids: tuple[str, ...] = ()

    def matches(self, entry: Parked) -> bool:
        """Whether an entry is among them."""
        wanted = (self.queue, self.cause or "", self.rule, self.tenant, self.event_type)
        actual = (entry.queue, entry.cause, entry.rule, entry.tenant, entry.event_type)
        return (
            all(not want or want == has for want, has in zip(wanted, actual, strict=True))
            and (self.newer_than is None or entry.parked_at >= self.newer_than)
            and (self.older_than is None or entry.parked_at < self.older_than)
            and (not self.ids or entry.id in self.ids)
            and (not self.rules or entry.rule in self.rules)
        )

    def indexes(self) -> list[str]:
        """The sorted sets that hold them."""
        queues = [self.queue] if self.queue else list(FAILURE_QUEUES)
        causes = [self.cause] if self.cause else list(Cause)
        return [keys.parked_index(queue, cause) for queue in queues for cause in causes]


@dataclass(frozen=True, slots=True)
class ParkedPage:
    """Some entries, newest first."""

    entries: tuple[Parked, ...]
    cursor: str
    """Pass it as ``after`` to get the next page, which may be empty; empty on the last. Pages may be short before."""


class ParkedIndex:
    """The index of all failure queues."""

    def __init__(self, store: Store) -> None:
        self._run = store.run

    def add(self, entries: Sequence[Parked]) -> None:
        """After they were parked with a confirm; an entry with the same id is replaced."""
        self._run(_swap({entry.id: entry for entry in entries}))

    def remove(self, ids: Sequence[str]) -> None:
        """After they left their queue."""
        self._run(_swap(dict.fromkeys(ids)))

    def seen(self, ids: Sequence[str]) -> dict[str, str]:
        """Id → its entry as it is now, for `drop`; without those that are not there."""
        return self._run(_seen(ids))

    def drop(self, seen: Mapping[str, str]) -> None:
        """Take away these very entries; one that was replaced since, because it was parked again, stays."""
        self._run(_drop(seen))

    def begin_walk(self, place: str, token: str, seconds: float) -> bool:
        """Whether ``token`` may walk this shelf now, for so long; call it again to go on."""
        return self._run(begin_walk(keys.parked_walker(place), token, seconds))

    def end_walk(self, place: str, token: str) -> None:
        """Let others walk."""
        self._run(end_walk(keys.parked_walker(place), token))

    def get(self, parked_id: str) -> Parked | None:
        """One entry."""
        return self._run(_get(parked_id))

    def search(self, wanted: ParkedFilter, *, limit: int = 50, after: str = "") -> ParkedPage:
        """A page of entries, newest first."""
        return self._run(_search(wanted, limit, after))

    def count(self, wanted: ParkedFilter) -> int:
        """How many entries a filter matches."""
        return len(self.ids(wanted))

    def ids(self, wanted: ParkedFilter) -> dict[str, str]:
        """Id → place of every entry a filter matches, newest first; reads all that its queues and times hold."""
        return self._run(_ids(wanted))

    def counts(self) -> dict[tuple[str, str], int]:
        """How many lie in each queue by cause; only what is not zero."""
        return self._run(_counts())

    def clear(self, queue: str) -> None:
        """Forget one queue's entries, before it is read anew."""
        self._run(_clear(queue))


def _encode(entry: Parked | None) -> str:
    return "" if entry is None else json.dumps(entry.as_dict(), separators=(",", ":"))


def _wire(text: str) -> dict[str, Any]:
    try:
        wire: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError:
        # Half a surrogate pair, which `json` writes and only `json` reads.
        wire = json.loads(text)
    return wire


def _decode(text: str) -> Parked:
    return Parked.from_dict(_wire(text))


def _place(entry: Parked) -> str:
    return keys.parked_index(entry.queue, entry.cause)


def _swap(wanted: dict[str, Parked | None]) -> Operation[None]:
    """Put entries, or take away those that are None. One round trip unless another entry is there."""
    expected = dict.fromkeys(wanted, "")
    while expected:
        order = list(expected)
        replies = yield [_swap_call(i, expected[i], wanted[i]) for i in order]
        there = {i: reply for i, reply in zip(order, replies, strict=True) if reply}
        expected = {i: "" if text == "-" else text for i, text in there.items()}


def _seen(ids: Sequence[str]) -> Operation[dict[str, str]]:
    chunks = [ids[begin : begin + CHUNK] for begin in range(0, len(ids), CHUNK)]
    replies = (yield [command("HMGET", keys.parked_entries(), *chunk) for chunk in chunks]) if chunks else []
    texts = [text for reply in replies for text in reply]
    return {parked_id: text for parked_id, text in zip(ids, texts, strict=True) if text is not None}


def _drop(seen: Mapping[str, str]) -> Operation[None]:
    groups: dict[str, list[str]] = defaultdict(list)
    for parked_id, text in seen.items():
        wire = _wire(text)
        groups[keys.parked_index(wire["queue"], wire["cause"])] += (parked_id, text)
    calls = [
        run_script("drop_parked", [keys.parked_entries(), index], *pairs[begin : begin + 2 * CHUNK])
        for index, pairs in groups.items()
        for begin in range(0, len(pairs), 2 * CHUNK)
    ]
    if calls:
        yield calls


def _swap_call(parked_id: str, expected: str, entry: Parked | None) -> Call:
    old = _decode(expected) if expected else entry
    places = [_place(e) if e else keys.parked_entries() for e in (entry, old)]
    when = milliseconds(entry.parked_at) if entry else 0
    return run_script("swap_parked", [keys.parked_entries(), *places], parked_id, expected, _encode(entry), when)


def _get(parked_id: str) -> Operation[Parked | None]:
    (text,) = yield [command("HGET", keys.parked_entries(), parked_id)]
    return None if text is None else _decode(text)


def _read(ids: Sequence[str]) -> Operation[list[Parked | None]]:
    (texts,) = yield [command("HMGET", keys.parked_entries(), *ids)]
    return [None if text is None else _decode(text) for text in texts]


#: Where an entry stands in a sorted set: time in milliseconds and id. Newest first means descending.
_Position = tuple[int, str]


def _search(wanted: ParkedFilter, limit: int, cursor: str) -> Operation[ParkedPage]:
    if wanted.ids:
        named = yield from _read(list(dict.fromkeys(wanted.ids)))
        return ParkedPage(tuple(e for e in named if e and wanted.matches(e)), "")
    found: list[Parked] = []
    position = _read_cursor(cursor)
    for _ in range(0, SCAN_LIMIT, CHUNK):
        places = yield from _newest(wanted, position, CHUNK)
        if not places:
            return ParkedPage(tuple(found), "")
        entries = yield from _read([parked_id for _, parked_id in places])
        for place, entry in zip(places, entries, strict=True):
            position = place
            if entry and wanted.matches(entry):
                found.append(entry)
            if len(found) == limit:
                return ParkedPage(tuple(found), _write_cursor(place))
    return ParkedPage(tuple(found), _write_cursor(position) if position else "")


def _ids(wanted: ParkedFilter) -> Operation[dict[str, str]]:
    found: dict[str, str] = {}
    page = yield from _search(wanted, SCAN_LIMIT, "")
    while True:
        found |= {entry.id: entry.place for entry in page.entries}
        if not page.cursor:
            return found
        page = yield from _search(wanted, SCAN_LIMIT, page.cursor)


def _newest(wanted: ParkedFilter, before: _Position | None, count: int) -> Operation[list[_Position]]:
    """The newest positions of all the filter's indexes, those before the cursor only."""
    waiting = dict.fromkeys(wanted.indexes(), 0)
    behind: dict[str, list[_Position]] = {name: [] for name in waiting}
    while waiting:
        order = list(waiting)
        replies = yield [_range(name, wanted, before, waiting[name], count) for name in order]
        for name, reply in zip(order, replies, strict=True):
            read = _positions(reply)
            behind[name] += [place for place in read if before is None or place < before]
            # Entries of the cursor's own millisecond that were on earlier pages come first: read past them.
            waiting[name] += count
            if len(read) < count or len(behind[name]) >= count:
                del waiting[name]
    return list(islice(heapq.merge(*behind.values(), reverse=True), count))


def _range(index: str, wanted: ParkedFilter, before: _Position | None, offset: int, count: int) -> Call:
    newest = "+inf" if wanted.older_than is None else f"({milliseconds(wanted.older_than)}"
    oldest = "-inf" if wanted.newer_than is None else milliseconds(wanted.newer_than)
    if before is not None:
        newest = str(before[0])
    return command("ZREVRANGEBYSCORE", index, newest, oldest, "WITHSCORES", "LIMIT", offset, count)


def _positions(reply: Sequence[str]) -> list[_Position]:
    flat: Iterable[str] = iter(reply)
    return [(int(float(score)), member) for member, score in zip(flat, flat, strict=True)]


def _write_cursor(place: _Position) -> str:
    return f"{place[0]}.{place[1]}"


def _read_cursor(cursor: str) -> _Position | None:
    when, _, parked_id = cursor.partition(".")
    return (int(when), parked_id) if cursor else None


def _counts() -> Operation[dict[tuple[str, str], int]]:
    groups: list[tuple[str, str]] = [(queue, cause) for queue in FAILURE_QUEUES for cause in Cause]
    sizes = yield [command("ZCARD", keys.parked_index(queue, cause)) for queue, cause in groups]
    return {group: size for group, size in zip(groups, sizes, strict=True) if size}


def _clear(queue: str) -> Operation[None]:
    for cause in Cause:
        index = keys.parked_index(queue, cause)
        while True:
            (ids,) = yield [command("ZRANGE", index, 0, CHUNK - 1)]
            if not ids:
                break
            yield [command("HDEL", keys.parked_entries(), *ids), command("ZREM", index, *ids)]
