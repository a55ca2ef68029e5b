"""Where finished records are packed: buckets, which keys share, and the dictionary of what repeats in them.

A key of its own costs 100 bytes beside its content. A finished record is a field of a hash instead, which it shares
with others whose ids begin alike, small enough to stay in Redis's compact form. Each field carries its own expiry, by
the server's clock; what has expired is not read, and is taken out when its bucket is next looked after, which is once a
day where anything is written. A bucket expires as a whole after its last entry.

When buckets fill up, deeper ones are written to (four or eight times as many). Nothing is moved: those of before are
read until all in them has expired. Who works with another state of the buckets than Redis has is told so by each script
and reads it anew. A process of the release before looks into no bucket; so nothing is packed within the hour after the
first process of this one came to records of another (`GRACE_S`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from notifier.domain.value import value
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import milliseconds
from notifier.storage.spread import WHOLE, Spread
from notifier.storage.words import Words

#: How long processes of the release before may work beside the first one of this.
GRACE_S = 3600.0
#: A dictionary takes words for so long; then a new one begins, so that what is said no more goes away.
GENERATION_S = 30 * 86400.0
#: Generations have one character; a year of 36 times 30 days later the first is long gone.
_GENERATIONS = "0123456789abcdefghijklmnopqrstuvwxyz"
#: A process reads the state again after so long, which keeps the dictionary it writes with.
_READ_AGAIN_S = 86400.0
#: A dictionary outlives the longest record by this: the day above, and time to notice.
OUTLIVES_S = 3 * 86400.0
#: The longest retention that the generations allow; records that are kept longer are never packed.
LONGEST_S = 2 * 365 * 86400.0
#: Records that one script touches at most: the server answers nobody else meanwhile, 20 µs for each.
GROUP = 64
#: Letters of an id in a key, and those that all buckets' names begin with.
_LETTERS, _NAMED = 24, 1
#: In the place of a field for an id that is none of ours: never written.
NO_FIELD = "!"
#: The eighth and the quarter of the alphabet a letter is in, in letters that no id has.
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_EIGHTHS = {letter: "ABCDEFGH"[place // 4] for place, letter in enumerate(_ALPHABET)}
_QUARTERS = {letter: "ABCD"[place // 8] for place, letter in enumerate(_ALPHABET)}
#: Keys looked at to see whether there are records of another release.
_LOOKED_AT = 1000

#: The first keys and arguments of a script that is to look into no bucket.
NO_PACKS: tuple[Sequence[str], Sequence[str | int]] = ((), ("", 0, 0))


class Shelf:
    """What one process knows of the buckets of one slot, which are all there are but on a Cluster. Nothing at first."""

    def __init__(self, tag: str, clock: Callable[[], float], shared: dict[Hashable, Any]) -> None:
        self.tag = tag
        """What all its keys have (`spread`)."""
        self.text = ""
        """The state as Redis has it; empty: not known, or nothing is packed."""
        self.levels: tuple[int, ...] = ()
        """How deep the buckets are that are written to, and those that are read still."""
        self.generation = ""
        self.is_read = False
        """Whether the state was read, and nobody said since that there is another one."""
        self.words = Words(shared)
        self._shared = shared
        self.epoch = 0
        """Grows when words are forgotten: what was asked before is then no answer."""
        self._clock = clock
        self._packs_from = 0.0
        # An id is shortened once for a record: 0.4 µs each.
        self._deliveries, self._events = keys.delivery("dlv_", tag), keys.event("evt_", tag)

    @property
    def is_packing(self) -> bool:
        """Whether records may be packed now."""
        return self.text != "" and self._clock() >= self._packs_from

    def forget_words(self) -> None:
        """There is another dictionary, or it has lost words."""
        self.words.clear()
        # Those that others know still are theirs; what is learned from now on is shared anew.
        self._shared.clear()
        self.epoch += 1

    def know(self, text: str, now: float) -> None:
        """Take over a state, empty where there is none and nothing is packed; ``now`` is the server's unix seconds."""
        # Where there is none there may be one at any moment: it is asked for again each time.
        self.is_read = text != ""
        if not text:
            self.text, self.levels, self.generation = "", (), ""
            return
        state = _State.read(text)
        if text.split(" ")[:3] != self.text.split(" ")[:3]:
            self.forget_words()
        self.text, self.levels, self.generation = text, state.levels, state.generation
        self._packs_from = self._clock() + max(0.0, state.since - now)

    def opening(self) -> tuple[list[str], list[str | int]]:
        """The first keys and arguments of a script that looks into buckets."""
        if not self.text:
            return [], [*NO_PACKS[1]]
        opening = [keys.packs(self.tag), keys.words(self.generation, self.tag)]
        return opening, [self.text, len(self.levels), self.words.fields]

    def buckets(self, letters: str) -> list[str]:
        """Keys of the buckets in which the record of these letters may be, the one that is written to first."""
        return [keys.pack(_bucket(letters, level), self.tag) for level in self.levels]

    def delivery(self, letters: str) -> str:
        """`keys.delivery` here, of `keys.delivery_letters`."""
        return self._deliveries + letters

    def event(self, letters: str) -> str:
        """`keys.event` here, of `keys.event_letters`."""
        return self._events + letters

    def event_chunks(self, event_key: str) -> str:
        """`keys.event_chunks` here."""
        return keys.event_chunks(event_key, self.tag)


class Packs:
    """All shelves, as one process knows them, and where a record is."""

    def __init__(
        self, longest: float = 0.0, clock: Callable[[], float] = time.monotonic, spread: Spread = WHOLE
    ) -> None:
        self.longest = min(longest, LONGEST_S)
        """The longest retention this process packs with, seconds."""
        self.is_writing = False
        """Whether it packs: who only reads leaves the state as it is."""
        self.spread = spread
        self.is_whole = spread.is_whole
        self._clock = clock
        self._read_again = 0.0
        self._tag = spread.tag
        # A dictionary is 0.5 MB where mails go to 2,000 domains; of 96 their words are kept once (14 MB instead of 43).
        shared: dict[Hashable, Any] = {}
        self._shelves = {tag: Shelf(tag, clock, shared) for tag in spread.tags}
        self._only = self._shelves[spread.tags[0]]
        # Of a key: what stands before its letters.
        self._before = len(keys.PREFIX + spread.tags[0]) + 2

    @property
    def is_used(self) -> bool:
        """Whether anything may be packed, as far as was read."""
        return any(shelf.levels for shelf in self._shelves.values())

    @property
    def unread(self) -> list[Shelf]:
        """Those whose state is to be read before they are used."""
        if self._clock() >= self._read_again:
            self.forget()
        return [shelf for shelf in self._shelves.values() if not shelf.is_read]

    def forget(self) -> None:
        """Read all states again before they are used."""
        for shelf in self._shelves.values():
            shelf.is_read = False

    def read_now(self) -> None:
        """All states were read."""
        self._read_again = self._clock() + _READ_AGAIN_S

    def shelf(self, letters: str) -> Shelf:
        """Where the record of these letters is, and its bucket."""
        return self._only if self.is_whole else self._shelves[self._tag(letters)]

    def delivery(self, delivery_id: str) -> str:
        """`keys.delivery`, wherever it is."""
        return keys.delivery(delivery_id, "" if self.is_whole else self._tag(keys.delivery_letters(delivery_id)))

    def event(self, event_key: str) -> str:
        """`keys.event`, wherever it is."""
        return keys.event(event_key, "" if self.is_whole else self._tag(keys.event_letters(event_key)))

    def event_chunks(self, event_key: str) -> str:
        """`keys.event_chunks`, wherever they are."""
        return keys.event_chunks(event_key, "" if self.is_whole else self._tag(keys.event_letters(event_key)))

    def letters_of(self, record_key: str) -> str:
        """The letters by which the record of this key is named."""
        return record_key[self._before :]

    def field_of(self, record_key: str) -> str:
        """The field of the record of this key within its bucket."""
        return field_of(self.letters_of(record_key), is_event=record_key[self._before - 2] == "e")


@value
class _State:
    """The text in `keys.packs`: ``SINCE GENERATION BEGUN LONGEST LEVEL OLDER:UNTIL…``, times in ms but LONGEST's."""

    since: float
    generation: str
    begun: float
    longest: float
    level: int
    older: tuple[tuple[int, float], ...]

    @classmethod
    def read(cls, text: str) -> _State:
        since, generation, begun, longest, level, *older = text.split(" ")
        pairs = [one.split(":") for one in older]
        return cls(
            int(since) / 1000,
            generation,
            int(begun) / 1000,
            int(longest) / 1000,
            int(level),
            tuple((int(depth), int(until) / 1000) for depth, until in pairs),
        )

    @property
    def levels(self) -> tuple[int, ...]:
        return (self.level, *(depth for depth, _ in self.older))

    def text(self) -> str:
        older = "".join(f" {depth}:{round(until * 1000)}" for depth, until in self.older)
        times = f"{round(self.begun * 1000)} {round(self.longest * 1000)}"
        return f"{round(self.since * 1000)} {self.generation} {times} {self.level}{older}"

    def at(self, now: float, longest: float) -> _State:
        """What it should be now."""
        over = now - self.begun >= GENERATION_S
        following = _GENERATIONS[(_GENERATIONS.index(self.generation) + 1) % len(_GENERATIONS)]
        return _State(
            self.since,
            following if over else self.generation,
            now if over else self.begun,
            max(self.longest, longest),
            self.level,
            tuple((depth, until) for depth, until in self.older if until > now),
        )


def writing(packs: Packs) -> Operation[None]:
    """Before anything is packed: from now on the state is made where there is none, and kept up to date."""
    if not packs.is_writing:
        packs.is_writing = True
        packs.forget()
    yield from known(packs)


def known(packs: Packs) -> Operation[None]:
    """Read the state, unless that was done lately: a round trip a day and after each change, three for who writes."""
    if not (unread := packs.unread):
        return
    replies = yield state_calls(unread)
    if packs.is_writing:
        yield from _bring_up_to_date(packs, unread, replies[:-1], _seconds(replies[-1]))
    else:
        take_state(unread, replies)
    packs.read_now()


def state_calls(shelves: Sequence[Shelf]) -> list[Call]:
    """What `take_state` takes the replies of: for who has a round trip to make anyway, and only reads."""
    return [*(command("GET", keys.packs(shelf.tag)) for shelf in shelves), command("TIME")]


def take_state(shelves: Sequence[Shelf], replies: Sequence[Any]) -> None:
    """Take over the states as they are."""
    now = _seconds(replies[-1])
    for shelf, text in zip(shelves, replies[:-1], strict=True):
        shelf.know(text or "", now)


def _seconds(time_reply: Sequence[int]) -> float:
    seconds, micros = time_reply
    return float(seconds + micros / 1_000_000)


def _bring_up_to_date(
    packs: Packs, shelves: Sequence[Shelf], texts: Sequence[str | None], now: float
) -> Operation[None]:
    there = {shelf: text or "" for shelf, text in zip(shelves, texts, strict=True)}
    first = (yield from _first(packs, now)).text() if "" in there.values() else ""
    waiting = list(shelves)
    while waiting:
        wanted = {s: _State.read(there[s]).at(now, packs.longest).text() if there[s] else first for s in waiting}
        found = yield [run_script("swap_packs", [keys.packs(s.tag)], there[s], wanted[s]) for s in waiting]
        there |= zip(waiting, found, strict=True)
        waiting = [shelf for shelf in waiting if there[shelf] != wanted[shelf]]
    for shelf, text in there.items():
        shelf.know(text, now)
    keep = milliseconds(_State.read(there[shelves[0]]).longest + OUTLIVES_S)
    yield [command("PEXPIRE", keys.words(shelf.generation, shelf.tag), keep) for shelf in shelves]


def _first(packs: Packs, now: float) -> Operation[_State]:
    """Packing begins at once where there are no records yet; else processes of another release may be at work.

    On a Cluster there are none: releases that know it all look into buckets.
    """
    since = 0.0
    if packs.is_whole:
        (found,) = yield [command("SCAN", 0, "COUNT", _LOOKED_AT, "MATCH", f"{keys.PREFIX}[de]:*")]
        since = now + GRACE_S if found[1] else 0.0
    return _State(round(since, 3), _GENERATIONS[0], round(now, 3), packs.longest, 0, ())


def is_packable(letters: str) -> bool:
    """Whether these are an id of ours; others stay records of their own."""
    return len(letters) == _LETTERS and letters.isascii() and letters.isalnum() and letters.islower()


def field_of(letters: str, *, is_event: bool) -> str:
    """The field of a record within its bucket."""
    if len(letters) != _LETTERS:
        return NO_FIELD
    return letters[_NAMED:].upper() if is_event else letters[_NAMED:]


def _bucket(letters: str, level: int) -> str:
    """256 buckets at first, then 1,024; from there by turns four and eight times as many."""
    if not level:
        return letters[:1] + _EIGHTHS.get(letters[1:2], "A")
    whole, half = divmod(level - 1, 2)
    ends = 2 + whole
    return letters[:ends] + _QUARTERS.get(letters[ends : ends + 1], "A") if half else letters[:ends]
