"""Reading packed records, and making them records of their own again, as operations (`packs` says what packed is)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from notifier.domain.value import value
from notifier.storage import keys
from notifier.storage.commands import Operation, command, run_script
from notifier.storage.packed import codes_in, unpack_event, unpack_sent
from notifier.storage.packs import NO_FIELD, Packs, Shelf, known

#: Fields that the rest of a long value may be in: the first letters of its own, and one of these.
_PARTS = tuple(str(number) for number in range(1, 6))
_NAMED_BY = 10
#: Characters of an expiry, hours since 1970 in base 36.
_EXPIRY = 4


@value
class _Found:
    """A packed record."""

    shelf: Shelf
    bucket: str
    field: str
    value: str
    """Of its own field, as it is stored."""
    parts: int
    body: str
    """Generation of its words, and what `packed` says."""
    hour: int

    @property
    def is_event(self) -> bool:
        """Of an event; else of a delivery."""
        return self.field.isupper()

    def codes(self) -> list[str]:
        """The words it needs."""
        return codes_in(self.body[1:], is_event=self.is_event)


def read(packs: Packs, record_keys: Sequence[str]) -> Operation[list[str | None]]:
    """Packed records as the texts of `records`; None where nothing is packed."""
    found = yield from _read(packs, record_keys)
    return [None if one is None else _text(one) for one in found]


def unpack(packs: Packs, record_keys: Sequence[str]) -> Operation[list[bool]]:
    """Make packed ones records of their own again, which expire when they would have."""
    found = yield from _read(packs, record_keys)
    calls = [
        run_script("unpack", [key, one.bucket], one.field, one.value, _text(one), one.hour, one.parts)
        for key, one in zip(record_keys, found, strict=True)
        if one is not None
    ]
    if calls:
        yield calls
    return [one is not None for one in found]


def _read(packs: Packs, record_keys: Sequence[str]) -> Operation[list[_Found | None]]:
    yield from known(packs)
    places = _places(packs, record_keys)
    while places:
        shelves = list(dict.fromkeys(shelf for _, shelf, _, _ in places))
        calls = [command("HMGET", bucket, field, *_parts(field)) for _, _, bucket, field in places]
        # The states first: each lies beside its buckets, so its node tells what was so when they were read.
        states = [command("GET", keys.packs(shelf.tag)) for shelf in shelves]
        *replies, (seconds, _) = yield [*states, *calls, command("TIME")]
        changed = [s for s, text in zip(shelves, replies, strict=False) if text != s.text]
        if not changed:
            alive = _alive(places, replies[len(shelves) :], seconds)
            yield from _words([*alive.values()])
            return [alive.get(key) for key in record_keys]
        for shelf in changed:
            shelf.is_read = False
        yield from known(packs)
        places = _places(packs, record_keys)
    return [None] * len(record_keys)


#: A record's key, its shelf, a bucket in which it may be, and its field there.
_Place = tuple[str, Shelf, str, str]


def _places(packs: Packs, record_keys: Sequence[str]) -> list[_Place]:
    found = []
    for key in record_keys:
        letters = packs.letters_of(key)
        shelf = packs.shelf(letters)
        found += [(key, shelf, bucket, packs.field_of(key)) for bucket in shelf.buckets(letters)]
    return found


def _parts(field: str) -> list[str]:
    return [field[:_NAMED_BY] + part for part in _PARTS]


def _alive(places: Sequence[_Place], replies: Sequence[Any], seconds: int) -> dict[str, _Found]:
    alive: dict[str, _Found] = {}
    for (key, shelf, bucket, field), parts in zip(places, replies, strict=True):
        if field != NO_FIELD and (found := _found(shelf, bucket, field, parts)) and found.hour * 3600 > seconds:
            alive.setdefault(key, found)
    return alive


def _found(shelf: Shelf, bucket: str, field: str, parts: Sequence[str | None]) -> _Found | None:
    stored = parts[0]
    if not stored:
        return None
    count = int(stored[0]) if stored[0].isdigit() else 0
    whole = "".join([stored[1:], *(part or "" for part in parts[1 : 1 + count])]) if count else stored
    return _Found(shelf, bucket, field, stored, count, whole[_EXPIRY:], int(whole[:_EXPIRY], 36))


def _words(found: Sequence[_Found]) -> Operation[None]:
    """Read those words of them that this process does not know."""
    needed = {(one.shelf, one.body[0], code) for one in found for code in one.codes()}
    if missing := [one for one in needed if one[0].words.text(*one[1:]) is None]:
        words = yield [command("HGET", keys.words(gen, shelf.tag), "#" + code) for shelf, gen, code in missing]
        for (shelf, generation, code), word in zip(missing, words, strict=True):
            # A dictionary outlives what was written with it; if somebody deleted it, the rest of each record is there.
            if word:
                shelf.words.remember(generation, code, word)


def _text(one: _Found) -> str:
    texts = {code: one.shelf.words.text(one.body[0], code) or "" for code in one.codes()}
    return unpack_event(one.body[1:], texts) if one.is_event else unpack_sent(one.body[1:], texts)
