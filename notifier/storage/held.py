"""`HeldIndex`: what ``held-webhook`` holds for which endpoint, when to look at it, and who walks where.

The queues hold the truth; this index is written after a confirmed publish. It answers how many wait for an endpoint and
which of them is the newest of its kind without touching a queue. Each endpoint has its shelf. What earlier releases put
into the queue ``held-webhook`` itself they have written under keys of its own, and both are looked at.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2s
from itertools import zip_longest

from notifier.domain.endpoint import OnResume
from notifier.domain.event import Event
from notifier.domain.topology import HELD_QUEUE, held_shelf, places
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import milliseconds
from notifier.storage.store import Store
from notifier.storage.walks import begin_walk, end_walk


@dataclass(frozen=True, slots=True)
class HeldDelivery:
    """One delivery that is held."""

    endpoint: str
    id: str
    kind: str
    """`kind_of` its event: of two of one kind the newer replaces the older, for receivers that want the latest only."""
    queued: float
    """Unix seconds when it was planned, with the order of those that were planned together below the millisecond."""


def kind_of(event: Event) -> str:
    """What an event is about: its type and subject, as a short hash."""
    return blake2s(f"{event.type}\n{event.subject or ''}".encode(), digest_size=6).hexdigest()


class HeldIndex:
    """Raises `StorageUnavailable` when Redis cannot do it now; every call may be repeated."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._run = store.run
        self._clock = clock

    def add(self, entries: Iterable[HeldDelivery]) -> None:
        """After they were put into the queue with a confirm; a look at their endpoints is due from now on."""
        by_endpoint: dict[str, list[str | int]] = {}
        for one in entries:
            by_endpoint.setdefault(one.endpoint, []).extend([f"{one.queued * 1000:.3f}", f"{one.id} {one.kind}"])
        if by_endpoint:
            self._run(_add(by_endpoint, self._clock()))

    def of(self, endpoint_id: str) -> list[HeldDelivery]:
        """All of one endpoint, oldest first."""
        return self._run(_of(endpoint_id))

    def counts(self, endpoint_ids: Sequence[str]) -> dict[str, int]:
        """How many wait for each; only what is not zero."""
        return self._run(_counts(endpoint_ids))

    def drop(self, endpoint_id: str, entries: Sequence[HeldDelivery]) -> None:
        """After they left the queue; an endpoint without any is not looked at again."""
        self._run(_drop(endpoint_id, [f"{one.id} {one.kind}" for one in entries]))

    def look(self, endpoint_ids: Sequence[str], when: float, chosen: OnResume | None = None) -> None:
        """Look at endpoints then (unix seconds), if they hold anything; ``chosen`` is what a person wants of it."""
        if endpoint_ids:
            self._run(_look(endpoint_ids, when, chosen))

    def due(self, limit: int) -> list[str]:
        """Endpoints to look at now."""
        return self._run(_due(self._clock(), limit))

    def chosen(self, endpoint_ids: Sequence[str]) -> dict[str, OnResume]:
        """What people chose, where they did."""
        return self._run(_chosen(endpoint_ids)) if endpoint_ids else {}

    def begin_walk(self, place: str, token: str, seconds: float) -> bool:
        """Whether ``token`` may walk there now, for so long; call it again to go on."""
        return self._run(begin_walk(keys.held_walker(place), token, seconds))

    def end_walk(self, place: str, token: str) -> None:
        """Let others walk."""
        self._run(end_walk(keys.held_walker(place), token))


def newest(entries: Iterable[HeldDelivery]) -> set[str]:
    """Ids of the newest delivery of each kind, for each endpoint."""
    latest: dict[tuple[str, str], HeldDelivery] = {}
    for one in sorted(entries, key=lambda e: (e.queued, e.id)):
        latest[one.endpoint, one.kind] = one
    return {one.id for one in latest.values()}


def _places(endpoint_id: str) -> tuple[str, str]:
    """Where something may be held for an endpoint."""
    return held_shelf(endpoint_id), HELD_QUEUE


def _add(by_endpoint: Mapping[str, Sequence[str | int]], now: float) -> Operation[None]:
    calls = [command("ZADD", keys.held_of(held_shelf(e), e), *pairs) for e, pairs in by_endpoint.items()]
    # NX: an endpoint that is looked at later, because it is paused, stays so.
    yield [*calls, *_due_at(by_endpoint, now, "NX")]


def _due_at(endpoint_ids: Iterable[str], when: float, *options: str, place: str = "") -> list[Call]:
    """On their own shelves, or all at one place."""
    shelves: dict[str, list[str | int]] = defaultdict(list)
    for endpoint in endpoint_ids:
        shelves[place or held_shelf(endpoint)] += (milliseconds(when), endpoint)
    return [command("ZADD", keys.held(shelf), *options, *due) for shelf, due in shelves.items()]


def _of(endpoint_id: str) -> Operation[list[HeldDelivery]]:
    replies = yield [
        command("ZRANGE", keys.held_of(place, endpoint_id), 0, -1, "WITHSCORES") for place in _places(endpoint_id)
    ]
    pairs = [pair for flat in replies for pair in zip(flat[::2], flat[1::2], strict=True)]
    found = [
        HeldDelivery(endpoint_id, member.partition(" ")[0], member.partition(" ")[2], float(score) / 1000)
        for member, score in pairs
    ]
    return sorted(found, key=lambda one: (one.queued, one.id))


def _counts(endpoint_ids: Sequence[str]) -> Operation[dict[str, int]]:
    if not endpoint_ids:
        return {}
    places = [(endpoint, place) for endpoint in endpoint_ids for place in _places(endpoint)]
    sizes = yield [command("ZCARD", keys.held_of(place, endpoint)) for endpoint, place in places]
    found: dict[str, int] = defaultdict(int)
    for (endpoint, _), size in zip(places, sizes, strict=True):
        found[endpoint] += size
    return {endpoint: size for endpoint, size in found.items() if size}


def _drop(endpoint_id: str, members: Sequence[str]) -> Operation[None]:
    yield [
        run_script(
            "drop_held",
            [keys.held_of(place, endpoint_id), keys.held(place), keys.held_chosen(place)],
            endpoint_id,
            *members,
        )
        for place in _places(endpoint_id)
    ]


def _look(endpoint_ids: Sequence[str], when: float, chosen: OnResume | None) -> Operation[None]:
    # XX: where earlier releases put nothing, there is nothing to look at.
    calls = [*_due_at(endpoint_ids, when), *_due_at(endpoint_ids, when, "XX", place=HELD_QUEUE)]
    if chosen is not None:
        calls += [command("HSET", keys.held_chosen(p), e, chosen) for e in endpoint_ids for p in _places(e)]
    yield calls


def _due(now: float, limit: int) -> Operation[list[str]]:
    replies = yield [
        command("ZRANGEBYSCORE", keys.held(place), "-inf", milliseconds(now), "LIMIT", 0, limit)
        for place in places(HELD_QUEUE)
    ]
    # In turns: no shelf has so many that those of the others are not looked at.
    turns = zip_longest(*replies)
    return list(dict.fromkeys(endpoint for turn in turns for endpoint in turn if endpoint is not None))[:limit]


def _chosen(endpoint_ids: Sequence[str]) -> Operation[dict[str, OnResume]]:
    asked = [(endpoint, place) for endpoint in endpoint_ids for place in _places(endpoint)]
    words = yield [command("HGET", keys.held_chosen(place), endpoint) for endpoint, place in asked]
    return {endpoint: OnResume(word) for (endpoint, _), word in zip(asked, words, strict=True) if word}
