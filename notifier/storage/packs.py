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
from collections.abc import Callable, Sequence
from typing import Any

from notifier.domain.value import value
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import milliseconds
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


class Packs:
    """What one process knows of the buckets; `known` reads it. Knows nothing at first."""

    def __init__(self, longest: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.longest = min(longest, LONGEST_S)
        """The longest retention this process packs with, seconds."""
        self.is_writing = False
        """Whether it packs: who only reads leaves the state as it is."""
        self.text = ""
        """The state as Redis has it; empty: not known, or nothing is packed."""
        self.levels: tuple[int, ...] = ()
        """How deep the buckets are that are written to, and those that are read still."""
        self.generation = ""
        self.together = 1
        """Records that one script may touch: on a Cluster one."""
        self._clock = clock
        self._read_again = 0.0
        self._packs_from = 0.0
        self.words = Words()
        self.epoch = 0
        """Grows when words are forgotten: what was asked before is then no answer."""

    @property
    def is_known(self) -> bool:
        """Whether it was read, lately."""
        return self._clock() < self._read_again

    @property
    def is_packing(self) -> bool:
        """Whether records may be packed now."""
        return self.text != "" and self._clock() >= self._packs_from

    def forget(self) -> None:
        """Read it again before it is used."""
        self._read_again = 0.0

    def forget_words(self) -> None:
        """There is another dictionary, or it has lost words."""
        self.words.clear()
        self.epoch += 1

    def know(self, text: str, now: float) -> None:
        """Take over a state; ``now`` is the server's unix seconds."""
        state = _State.read(text)
        if text.split(" ")[:3] != self.text.split(" ")[:3]:
            self.forget_words()
        self.text, self.levels, self.generation = text, state.levels, state.generation
        self.together = GROUP
        self._packs_from = self._clock() + max(0.0, state.since - now)
        self._read_again = self._clock() + _READ_AGAIN_S

    def know_nothing_yet(self) -> None:
        """There is no state: nothing is packed, but may be at any moment."""
        self.text, self.levels, self.generation, self.together = "", (), "", GROUP

    def know_nothing_is_packed(self) -> None:
        """On a Cluster, where a record and its bucket would be on two nodes."""
        self.text, self.levels, self.generation, self.together = "", (), "", 1
        self._read_again = self._clock() + _READ_AGAIN_S

    def opening(self) -> tuple[list[str], list[str | int]]:
        """The first keys and arguments of a script that looks into buckets."""
        if not self.text:
            return [], [*NO_PACKS[1]]
        return [keys.packs(), keys.words(self.generation)], [self.text, len(self.levels), self.words.fields]

    def buckets(self, letters: str) -> list[str]:
        """Keys of the buckets in which the record of this key may be, the one that is written to first."""
        return [keys.pack(_bucket(letters, level)) for level in self.levels]


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
    if packs.is_known:
        return
    replies = yield state_calls()
    if packs.is_writing and not _is_cluster(replies):
        text, now = replies[0] or "", _seconds(replies)
        packs.know((yield from _brought_up_to(now, text, packs.longest)), now)
    else:
        take_state(packs, replies)


def state_calls() -> list[Call]:
    """What `take_state` takes the replies of: for who has a round trip to make anyway, and only reads."""
    return [command("GET", keys.packs()), command("TIME"), command("INFO", "server")]


def take_state(packs: Packs, replies: Sequence[Any]) -> None:
    """Take over the state as it is."""
    if _is_cluster(replies):
        packs.know_nothing_is_packed()
    elif text := replies[0]:
        packs.know(text, _seconds(replies))
    else:
        packs.know_nothing_yet()


def _is_cluster(replies: Sequence[Any]) -> bool:
    return "cluster" in (replies[2].get("redis_mode"), replies[2].get("server_mode"))


def _seconds(replies: Sequence[Any]) -> float:
    seconds, micros = replies[1]
    return float(seconds + micros / 1_000_000)


def _brought_up_to(now: float, text: str, longest: float) -> Operation[str]:
    while True:
        wanted = (_State.read(text).at(now, longest) if text else (yield from _first(now, longest))).text()
        (found,) = yield [run_script("swap_packs", [keys.packs()], text, wanted)]
        if found == wanted:
            break
        text = found
    state = _State.read(wanted)
    yield [command("PEXPIRE", keys.words(state.generation), milliseconds(state.longest + OUTLIVES_S))]
    return wanted


def _first(now: float, longest: float) -> Operation[_State]:
    """Packing begins at once where there are no records yet; else processes of another release may be at work."""
    (found,) = yield [command("SCAN", 0, "COUNT", _LOOKED_AT, "MATCH", f"{keys.PREFIX}[de]:*")]
    since = now + GRACE_S if found[1] else 0.0
    return _State(round(since, 3), _GENERATIONS[0], round(now, 3), longest, 0, ())


def letters_of(record_key: str) -> str:
    """What follows the prefix of a record's key."""
    return record_key[len(keys.PREFIX) + 2 :]


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
