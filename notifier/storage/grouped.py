"""Running a script over many records at once, and what there is to do when it says that something must come first.

A call of its own for each record cost Redis 2 µs and us one; in one script of a group they share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from notifier.storage import keys
from notifier.storage.commands import Call, Operation, run_script
from notifier.storage.packs import GROUP, OUTLIVES_S, Packs, known
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
        call: Callable[[Sequence[T]], Call],
        *,
        key: Callable[[T], str] | None = None,
        together: int = GROUP,
    ) -> None:
        self.items = items
        self.answers: list[Any] = [None] * len(items)
        self.call = call
        """Makes the script's call for a group."""
        self.key = key
        """The key of an item's record, of a script that may ask for it to be unpacked."""
        self.together = together
        """Items of a group at most."""


def run(packs: Packs, *works: Work[Any], beside: Sequence[Call] = ()) -> Operation[list[Any]]:
    """Run scripts over their items, and other calls in the same round trip; returns the replies to those.

    Groups that are told their state of the buckets is old run again with that of now, and so do items whose record has
    to be changed, once it is unpacked: a round trip or two more, seldom.
    """
    waiting = [(work, group) for work in works for group in _groups(range(len(work.items)), packs, work.together)]
    calls = [work.call([work.items[i] for i in group]) for work, group in waiting]
    if any(kind in NEEDED for kind, _ in packs.words.wished):
        # Without them all these stay records: a round trip for each rule, worker and source that is new.
        first, epoch = list(packs.words.wished), packs.epoch
        (learned,) = yield _wishes(packs, first)
        if epoch == packs.epoch:
            packs.words.learn(first, learned)
        calls = [work.call([work.items[i] for i in group]) for work, group in waiting]
    wished, epoch = list(packs.words.wished), packs.epoch
    replies = yield [*calls, *beside, *_wishes(packs, wished)]
    if wished and epoch == packs.epoch:
        packs.words.learn(wished, replies[-1])
    others = replies[len(calls) : len(calls) + len(beside)]
    while again := _again(waiting, replies):
        if STALE in replies[: len(waiting)]:
            packs.forget()
        if LOST_WORDS in replies[: len(waiting)]:
            packs.forget_words()
        if packed := [work.key(work.items[i]) for work, group in again for i in group if work.key and work.answers[i]]:
            yield from unpack(packs, packed)
        yield from known(packs)
        waiting = [(work, part) for work, group in again for part in _groups(group, packs, work.together)]
        replies = yield [work.call([work.items[i] for i in group]) for work, group in waiting]
    return others


def _wishes(packs: Packs, words: Sequence[Word]) -> list[Call]:
    if not words:
        return []
    ttl = milliseconds(packs.longest + OUTLIVES_S)
    pairs = [part for word in words for part in (ROOM[word[0]], written(word))]
    return [run_script("learn_words", [keys.words(packs.generation)], ttl, *pairs)]


_Group = Sequence[int]


def _again(groups: Sequence[tuple[Work[Any], _Group]], replies: Sequence[Any]) -> list[tuple[Work[Any], _Group]]:
    """What has to run again. Answers are noted; of those for which a record must be unpacked it says so."""
    left: list[tuple[Work[Any], _Group]] = []
    for (work, group), reply in zip(groups, replies, strict=False):
        given = [None] * len(group) if reply in (STALE, LOST_WORDS) else reply
        for i, answer in zip(group, given, strict=True):
            work.answers[i] = answer
        if places := [i for i in group if work.answers[i] in (None, UNPACK)]:
            left.append((work, places))
    return left


def _groups(places: Sequence[int], packs: Packs, most: int) -> Iterator[_Group]:
    size = min(packs.together, most)
    return (places[start : start + size] for start in range(0, len(places), size))
