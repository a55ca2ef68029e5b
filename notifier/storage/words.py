"""`Words`: two characters in finished records for what repeats in them, as far as one process knows it.

A word that is not known is wished for, and learned with the next round trip that is made anyway (`packs.run`); until
then it is written out, or its record stays one of its own. How many words there may be is bounded for each kind, so
that what is another each time (a source for each order) leaves room for what repeats.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from typing import Any

from notifier.storage.records import UNIT, clean, machine, outcome_letter

#: In the place of a word that was written out.
NO_WORD = "--"
#: How a delivery was made: fence, template, rule, channel.
HOW = "d"
#: By whom it was tried: outcome, code, worker.
WHO = "a"
#: How replies begin; domains of addresses.
STEM, DOMAIN = "s", "@"
#: Where events are from: source, type, tenant.
ORIGIN = "e"
#: How many words there may be before one of each kind is refused.
ROOM = {HOW: 4000, WHO: 3500, STEM: 1000, DOMAIN: 2000, ORIGIN: 3000}

#: Kinds without which nothing can be packed; the others may be written out.
NEEDED = frozenset({HOW, WHO, ORIGIN})

#: A kind and what it says.
Word = tuple[str, str | tuple[str, ...]]


class Words:
    """Codes by word, of the dictionary that is written with, and words by code, of those that were read."""

    def __init__(self, shared: dict[Hashable, Any] | None = None) -> None:
        """``shared``: words that several dictionaries of a process have; each is kept once."""
        self._shared = {} if shared is None else shared
        self.codes: dict[str, dict[Hashable, str]] = {kind: {} for kind in ROOM}
        self.wished: dict[Word, None] = {}
        self.fields = 0
        """How many fields the dictionary had when it was last written to."""
        self._full: set[str] = set()
        self._texts: dict[str, str] = {}

    def clear(self) -> None:
        """Another dictionary is written with now, or one that has lost words."""
        for codes in self.codes.values():
            codes.clear()
        self.fields = 0
        self.wished.clear()
        self._full.clear()
        self._texts.clear()

    def wish(self, kind: str, word: str | tuple[str, ...]) -> str:
        """Called for one that has no code; returns what stands in its place."""
        if kind not in self._full:
            self.wished[kind, word] = None
        return NO_WORD

    def learn(self, words: Sequence[Word], reply: Sequence[Any]) -> None:
        """What Redis answered to wishes; nothing where there is no room for more of the kind."""
        self.fields, *codes = reply
        for (kind, word), code in zip(words, codes, strict=True):
            self.wished.pop((kind, word), None)
            if code:
                self.codes[kind][self._shared.setdefault(word, word)] = sys.intern(code)
            else:
                self._full.add(kind)

    def text(self, generation: str, code: str) -> str | None:
        """A word that was read before."""
        return self._texts.get(generation + code)

    def remember(self, generation: str, code: str, text: str) -> None:
        """A word that was read."""
        self._texts[sys.intern(generation + code)] = self._shared.setdefault(text, text)


def written(word: Word) -> str:
    """A word as the dictionary has it."""
    kind, said = word
    if kind == WHO:
        outcome, code, worker = tuple(said)
        said = (outcome_letter(outcome), code, machine(worker))
    return kind + UNIT + (clean(said) if isinstance(said, str) else UNIT.join(clean(part) for part in said))
