"""Running a script over many records at once, and what there is to do when it says that something must come first.

A call of its own for each record cost Redis 2 µs and us one; in one script of a group they share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from notifier.storage import keys
from notifier.storage.commands import Call, Operation, run_script
from notifier.storage.packs import GROUP, OUTLIVES_S, Packs, Shelf, known
from notifier.storage.records import milliseconds
from notifier.storage.unpacking import unpack
from notifier.storage.words import NEEDED, ROOM, Word, written

T = TypeVar("T")

#: What scripts say instead of an answer: to a whole group, and to one record.
STALE, LOST_WORDS, UNPACK = "stale", "lost words", "unpack"


class Work(Generic[T]):
    """Items that one script is run over, in groups; `run` fills in an answer for each."""

    def __init__(
        self,
        items: Sequence[T],
        call: Callable[[Shelf, Sequence[T]], Call],
        key: Callable[[T], str],
        *,
        together: int = GROUP,
    ) -> None:
        self.items = items
        self.answers: list[Any] = [None] * len(items)
        self.call = call
        """Makes the script's call for a group, all of which lies on one shelf."""
        self.key = key
        """The key of an item's record."""
        self.together = together
        """Items of a group at most."""


class _Group(NamedTuple):
    """Items of a work that one script is run over."""

    work: Work[Any]
    shelf: Shelf
    places: Sequence[int]

    def make_call(self) -> Call:
        return self.work.call(self.shelf, [self.work.items[i] for i in self.places])


def run(
    packs: Packs, *works: Work[Any], beside: Sequence[Call] = (), ahead: Sequence[Call] = ()
) -> Operation[list[Any]]:
    """Run scripts over their items, and other calls in the same round trip; returns the replies to those.

    Calls ``ahead`` are written before the scripts.

    Groups that are told their state of the buckets is old run again with that of now, and so do items whose record has
    to be changed, once it is unpacked: a round trip or two more, seldom.
    """
    waiting = [group for work in works for group in _groups(work, range(len(work.items)), packs)]
    calls = [group.make_call() for group in waiting]
    shelves = list(dict.fromkeys(group.shelf for group in waiting))
    needing = [shelf for shelf in shelves if any(kind in NEEDED for kind, _ in shelf.words.wished)]
    if needing:
        # Without them all these stay records: a round trip for each rule, worker and source that is new.
        wishes = _Wishes(packs, needing)
        wishes.learn((yield wishes.calls))
        calls = [group.make_call() for group in waiting]
    wishes = _Wishes(packs, shelves)
    replies = (yield [*ahead, *calls, *beside, *wishes.calls])[len(ahead) :]
    others = replies[len(calls) : len(calls) + len(beside)]
    wishes.learn(replies[len(calls) + len(beside) :])
    while again := _again(waiting, replies):
        if packed := [g.work.key(g.work.items[i]) for g in again for i in g.places if g.work.answers[i] == UNPACK]:
            yield from unpack(packs, packed)
        yield from known(packs)
        waiting = [part for group in again for part in _groups(group.work, group.places, packs)]
        replies = yield [group.make_call() for group in waiting]
    return others


class _Wishes:
    """Words that are to be learned for some shelves: one call for each of them."""

    def __init__(self, packs: Packs, shelves: Sequence[Shelf]) -> None:
        self._asked = [(shelf, list(shelf.words.wished), shelf.epoch) for shelf in shelves if shelf.words.wished]
        ttl = milliseconds(packs.longest + OUTLIVES_S)
        self.calls = [
            run_script("learn_words", [keys.words(shelf.generation, shelf.tag)], ttl, *_pairs(words))
            for shelf, words, _ in self._asked
        ]

    def learn(self, replies: Sequence[Any]) -> None:
        for (shelf, words, epoch), reply in zip(self._asked, replies, strict=True):
            if epoch == shelf.epoch:
                shelf.words.learn(words, reply)


def _pairs(words: Sequence[Word]) -> list[str | int]:
    return [part for word in words for part in (ROOM[word[0]], written(word))]


def _again(groups: Sequence[_Group], replies: Sequence[Any]) -> list[_Group]:
    """What has to run again. Answers are noted; of those for which a record must be unpacked it says so."""
    left: list[_Group] = []
    for (work, shelf, places), reply in zip(groups, replies, strict=False):
        if reply == STALE:
            shelf.is_read = False
        if reply == LOST_WORDS:
            shelf.forget_words()
        given = [None] * len(places) if reply in (STALE, LOST_WORDS) else reply
        for i, answer in zip(places, given, strict=True):
            work.answers[i] = answer
        if again := [i for i in places if work.answers[i] in (None, UNPACK)]:
            left.append(_Group(work, shelf, again))
    return left


def _groups(work: Work[Any], places: Sequence[int], packs: Packs) -> Iterator[_Group]:
    size = min(GROUP, work.together)
    for shelf, of_it in _by_shelf(work, places, packs):
        for start in range(0, len(of_it), size):
            yield _Group(work, shelf, of_it[start : start + size])


def _by_shelf(work: Work[Any], places: Sequence[int], packs: Packs) -> Iterable[tuple[Shelf, Sequence[int]]]:
    if packs.is_whole:
        return [(packs.shelf(""), places)]
    found: dict[Shelf, list[int]] = {}
    for i in places:
        found.setdefault(packs.shelf(packs.letters_of(work.key(work.items[i]))), []).append(i)
    return found.items()
