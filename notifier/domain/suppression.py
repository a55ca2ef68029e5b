"""`Suppression`: why nothing, or not everything, is sent to one address; parts that do not know of each other.

A mailbox that does not exist and a newsletter that nobody wants any more are different facts. Each is a part of its
own: adding one changes no other, and whoever lifts one names it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

_ADDRESS = re.compile(r"([^\s@<>\x22',;:()…]?)[^\s@<>\x22',;:()]*@(?=\S)")


class PartKind(StrEnum):
    """What a part is about; in the order in which parts are shown."""

    BOUNCE = "bounce"
    """A relay said that there is no such mailbox."""
    COMPLAINT = "complaint"
    """The recipient called a mail spam."""
    OPERATOR = "operator"
    """Somebody of ours decided it."""
    FORGOTTEN = "forgotten"
    """The person wanted to be forgotten, and nothing to be sent from then on."""
    CATEGORY = "category"
    """The recipient switched one category off: it alone stops, and not what is transactional."""


_ORDER = tuple(PartKind)


@dataclass(frozen=True, slots=True)
class Part:
    """One reason. Made by the functions below, which bring its texts into the form that is stored."""

    kind: PartKind
    since: float
    """Unix seconds, to the millisecond."""
    detail: str = ""
    """The code of a bounce, what an operator or a complaint said, the category."""

    @property
    def name(self) -> str:
        """What lifts it: ``bounce``, ``category:news``."""
        return f"{self.kind}:{self.detail}" if self.kind is PartKind.CATEGORY else self.kind.value

    @property
    def reason(self) -> str:
        """In words, for the ledger and for people. Never an address."""
        match self.kind:
            case PartKind.CATEGORY:
                return f"unsubscribed:{self.detail}"
            case PartKind.BOUNCE:
                return f"bounced: {self.detail}" if self.detail else "bounced"
            case _:
                return f"{self.kind}: {self.detail}" if self.detail else self.kind.value

    def stops(self, category: str, *, transactional: bool) -> bool:
        """Whether nothing of this category is sent because of it."""
        return self.kind is not PartKind.CATEGORY or (not transactional and self.detail == category)


def bounced(code: str, now: float) -> Part:
    """``code`` as attempts have it: ``smtp_550_5.1.1``."""
    return Part(PartKind.BOUNCE, _instant(now), _line(code))


def complained(detail: str, now: float) -> Part:
    """The recipient called a mail spam; ``detail`` says who told us."""
    return Part(PartKind.COMPLAINT, _instant(now), without_addresses(_line(detail)))


def by_operator(reason: str, now: float) -> Part:
    """``reason`` is shown to whoever asks; addresses in it are masked."""
    return Part(PartKind.OPERATOR, _instant(now), without_addresses(_line(reason)) or "suppressed")


def forgotten(now: float) -> Part:
    """Whoever was forgotten is not written to."""
    return Part(PartKind.FORGOTTEN, _instant(now))


def unsubscribed(category: str, now: float) -> Part:
    """One category is switched off."""
    return Part(PartKind.CATEGORY, _instant(now), category)


@dataclass(frozen=True, slots=True)
class Suppression:
    """All parts of one address, at most one of each `Part.name`. False when there is none."""

    parts: tuple[Part, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.parts)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all parts."""
        return tuple(part.name for part in self.parts)

    @property
    def since(self) -> float:
        """Of the oldest part; 0 when there is none."""
        return min((part.since for part in self.parts), default=0.0)

    def get(self, name: str) -> Part | None:
        """The part of this name."""
        return next((part for part in self.parts if part.name == name), None)

    def plus(self, *more: Part) -> Suppression:
        """With these parts too. Of two with one name the first stays: how long something has been so is what counts."""
        known = {part.name: part for part in self.parts}
        for part in more:
            known.setdefault(part.name, part)
        return Suppression(tuple(sorted(known.values(), key=lambda part: _ORDER.index(part.kind))))

    def minus(self, names: Collection[str]) -> Suppression:
        """Without the parts of these names."""
        return Suppression(tuple(part for part in self.parts if part.name not in names))

    @property
    def wishes(self) -> tuple[Part, ...]:
        """What is true of the person whatever their address is. A bounce is the mailbox's."""
        return tuple(part for part in self.parts if part.kind is not PartKind.BOUNCE)

    def reason(self, category: str, *, transactional: bool) -> str:
        """Why nothing of this category is sent, by all parts that stop it; empty when it may be sent."""
        return "; ".join(p.reason for p in self.parts if p.stops(category, transactional=transactional))


#: Nothing is known against writing to the address.
NOTHING = Suppression()


def without_addresses(text: str) -> str:
    """``kim@example.org asked`` as ``k…@example.org asked``: reasons are listed, logged and kept in the ledger."""
    return _ADDRESS.sub(r"\1…@", text) if "@" in text else text


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _instant(now: float) -> float:
    return round(now * 1000) / 1000
