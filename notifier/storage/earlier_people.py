"""The index of people as releases before kept it: strings of up to 8 MB, which expire with what they name.

They are read, and somebody's entries in them blanked where they stand, which takes as long for a long string as for a
short one; nothing is added to them by this release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script

#: Letters of a person's key that chose the bucket, and those that named the person within it.
_BUCKET, _PERSON = 2, 14
#: Periods that were looked at.
_PERIODS = 13
#: In place of a person's letters: no key has such.
_NOBODY = "!" * _PERSON
#: Places that one call blanks.
_TOGETHER = 100


def read_earlier(people: Sequence[str], period: int) -> Operation[list[str]]:
    """Ids of deliveries to these people, the first claimed first; ``period`` is that of now."""
    texts = yield [command("GET", key) for key, _ in _places(people, period)]
    return [
        keys.full(entry[_PERSON:], "dlv_")
        for (_, part), text in zip(_places(people, period), texts, strict=True)
        for entry in (text or "").split(",")
        if entry.startswith(part)
    ]


def blank(people: Sequence[str], period: int) -> Operation[None]:
    """Nobody finds these people's deliveries by them any more."""
    waiting = dict.fromkeys(_places(people, period))
    while waiting:
        order = list(waiting)
        texts = yield [command("GET", key) for key, _ in order]
        found = {place: _found(place[1], text or "") for place, text in zip(order, texts, strict=True)}
        waiting = {place: None for place, at in found.items() if at}
        # Once more: a process of such a release may have moved what is in it meanwhile.
        yield [call for place in waiting for call in _blank(*place, found[place])]


def _blank(key: str, part: str, at: Sequence[int]) -> Iterator[Call]:
    for start in range(0, len(at), _TOGETHER):
        yield run_script("blank", [key], part, _NOBODY, *at[start : start + _TOGETHER])


def _found(part: str, text: str) -> list[int]:
    """Where a person's entries begin, in bytes; ids that are not ours may have others than ASCII."""
    encoded, wanted = b"," + text.encode("utf-8", "surrogatepass"), b"," + part.encode()
    found, at = [], encoded.find(wanted)
    while at >= 0:
        found.append(at)
        at = encoded.find(wanted, at + 1)
    return found


def _places(people: Sequence[str], period: int) -> list[tuple[str, str]]:
    """Key and the person's letters within it, the oldest first."""
    names = [keys.short(person, "rcp_").ljust(_BUCKET + _PERSON, "~") for person in people]
    return [
        (keys.people_bucket(name[:_BUCKET], at), name[_BUCKET : _BUCKET + _PERSON])
        for name in names
        for at in range(period - _PERIODS + 1, period + 1)
    ]
