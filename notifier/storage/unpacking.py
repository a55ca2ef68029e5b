"""Reading packed records, and making them records of their own again, as operations (`packs` says what packed is)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from notifier.domain.value import value
from notifier.storage import keys
from notifier.storage.commands import Operation, command, run_script
from notifier.storage.packed import codes_in, unpack_event, unpack_sent
from notifier.storage.packs import NO_FIELD, Packs, field_of, known, letters_of

#: Fields that the rest of a long value may be in: the first letters of its own, and one of these.
_PARTS = tuple(str(number) for number in range(1, 6))
_NAMED_BY = 10
#: Characters of an expiry, hours since 1970 in base 36.
_EXPIRY = 4


@value
class _Found:
    """A packed record."""

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
    return [None if one is None else _text(packs, one) for one in found]


def unpack(packs: Packs, record_keys: Sequence[str]) -> Operation[list[bool]]:
    """Make packed ones records of their own again, which expire when they would have."""
    found = yield from _read(packs, record_keys)
    calls = [
        run_script("unpack", [key, one.bucket], one.field, one.value, _text(packs, one), one.hour, one.parts)
        for key, one in zip(record_keys, found, strict=True)
        if one is not None
    ]
    if calls:
        yield calls
    return [one is not None for one in found]


def _read(packs: Packs, record_keys: Sequence[str]) -> Operation[list[_Found | None]]:
    yield from known(packs)
    while packs.levels and record_keys:
        places = [(key, bucket, _field(key)) for key in record_keys for bucket in packs.buckets(letters_of(key))]
        calls = [command("HMGET", bucket, field, *_parts(field)) for _, bucket, field in places]
        state, (seconds, _), *replies = yield [command("GET", keys.packs()), command("TIME"), *calls]
        if state == packs.text:
            alive = _alive(places, replies, seconds)
            yield from _words(packs, [*alive.values()])
            return [alive.get(key) for key in record_keys]
        packs.forget()
        yield from known(packs)
    return [None] * len(record_keys)


def _parts(field: str) -> list[str]:
    return [field[:_NAMED_BY] + part for part in _PARTS]


def _alive(places: Sequence[tuple[str, str, str]], replies: Sequence[Any], seconds: int) -> dict[str, _Found]:
    alive: dict[str, _Found] = {}
    for (key, bucket, field), parts in zip(places, replies, strict=True):
        if field != NO_FIELD and (found := _found(bucket, field, parts)) and found.hour * 3600 > seconds:
            alive.setdefault(key, found)
    return alive


def _found(bucket: str, field: str, parts: Sequence[str | None]) -> _Found | None:
    stored = parts[0]
    if not stored:
        return None
    count = int(stored[0]) if stored[0].isdigit() else 0
    whole = "".join([stored[1:], *(part or "" for part in parts[1 : 1 + count])]) if count else stored
    return _Found(bucket, field, stored, count, whole[_EXPIRY:], int(whole[:_EXPIRY], 36))


def _field(record_key: str) -> str:
    return field_of(letters_of(record_key), is_event=record_key.startswith(f"{keys.PREFIX}e"))


def _words(packs: Packs, found: Sequence[_Found]) -> Operation[None]:
    """Read those words of them that this process does not know."""
    needed = {(one.body[0], code) for one in found for code in one.codes()}
    if missing := sorted(pair for pair in needed if packs.words.text(*pair) is None):
        words = yield [command("HGET", keys.words(generation), "#" + code) for generation, code in missing]
        for (generation, code), word in zip(missing, words, strict=True):
            # A dictionary outlives what was written with it; if somebody deleted it, the rest of each record is there.
            if word:
                packs.words.remember(generation, code, word)


def _text(packs: Packs, one: _Found) -> str:
    texts = {code: packs.words.text(one.body[0], code) or "" for code in one.codes()}
    return unpack_event(one.body[1:], texts) if one.is_event else unpack_sent(one.body[1:], texts)
