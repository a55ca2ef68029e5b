"""Which deliveries went to one person, as operations: for `notifier show`, and for forgetting somebody.

People share buckets, and a bucket begins anew each period, so that what is old goes away as one key. An entry costs its
41 bytes; a key for each person cost 160 with one delivery, and most people get few.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import milliseconds

#: Letters of a person's key that choose the bucket (32 values each), and those that name the person within it.
_BUCKET, _PERSON = 2, 14
PERIOD_S = 30 * 86400.0
#: Periods that are looked at: deliveries are found for a year, if they are kept that long.
_PERIODS = 13
#: Bytes a bucket keeps of one period at least: 100,000 deliveries; the oldest go, before Redis's limit of 512 MB.
BUCKET_BYTES = 4 * 1024 * 1024


def index_calls(claimed: Iterable[tuple[str, str]], *, now: float, keep: float) -> list[Call]:
    """Note (person, delivery) pairs, in the round trip that is made anyway. Doubled notes are read as one."""
    added: dict[str, str] = {}
    period = _period(now)
    for person, delivery_id in claimed:
        bucket, part = _place(person)
        key = keys.people_bucket(bucket, period)
        added[key] = f"{added.get(key, '')}{part}{keys.short(delivery_id, 'dlv_')},"
    ttl = milliseconds(keep)
    return [run_script("index", [key], ttl, BUCKET_BYTES, entries) for key, entries in added.items()]


def deliveries_to(people: Sequence[str], now: float) -> Operation[list[str]]:
    """Ids of deliveries to any of these people, the first claimed first."""
    texts = yield [command("GET", key) for person in people for key in _keys_of(person, now)]
    found: dict[str, None] = {}
    for place, person in enumerate(people):
        part = _place(person)[1]
        for text in texts[place * _PERIODS : (place + 1) * _PERIODS]:
            entries = (text or "").split(",")
            found |= dict.fromkeys(keys.full(e[_PERSON:], "dlv_") for e in entries if e.startswith(part))
    return list(found)


def drop(people: Sequence[str], now: float) -> Operation[None]:
    """Nobody finds these people's deliveries by them any more."""
    yield [run_script("unindex", [key], _place(p)[1]) for p in people for key in _keys_of(p, now)]


def _keys_of(person: str, now: float) -> list[str]:
    """Oldest first."""
    last = _period(now)
    return [keys.people_bucket(_place(person)[0], period) for period in range(last - _PERIODS + 1, last + 1)]


def _place(person: str) -> tuple[str, str]:
    """Bucket, and the person's name within it, of fixed length: 80 bits of the 128 together."""
    name = keys.short(person, "rcp_").ljust(_BUCKET + _PERSON, "~")
    return name[:_BUCKET], name[_BUCKET : _BUCKET + _PERSON]


def _period(now: float) -> int:
    return int(now // PERIOD_S)
