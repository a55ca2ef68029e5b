"""Forgetting one person, with very many others: how long Redis answers nobody else, and how long it takes in all."""

import base64
import random
import time
from pathlib import Path

from notifier.domain.ids import recipient_key
from notifier.wiring.people import build_forgetting
from tests.bench.scale.curve import Curve
from tests.bench.scale.people import deliver, redis, store_people
from tests.bench.waiting import BenchFailed

_WHO, _DELIVERIES = "p7@example.org", 20
#: Letters that a person's key shares with those of all others: the share of a thousand times as many deliveries.
_ALIKE = 2


def _step(size: int, folder: Path) -> float:
    """Milliseconds of the longest command of Redis; ``size`` deliveries to people whose keys begin as theirs does."""
    own, some = recipient_key(_WHO), random.Random(1)
    others = [_alike(own, some) for _ in range(size - _DELIVERIES)]
    with redis(folder) as (settings, store):
        store_people(settings, store, 10)
        deliver(settings, store, [*others, *[own] * _DELIVERIES])
        store.client.config_set("slowlog-max-len", 100_000)
        store.client.config_set("slowlog-log-slower-than", 0)
        store.client.slowlog_reset()
        found = build_forgetting(settings, store).forget(_WHO)
        steps = [entry["duration"] for entry in store.client.slowlog_get(100_000)]
    _check(found.deliveries)
    return max(steps) / 1000


def _whole(size: int, folder: Path) -> float:
    """Milliseconds in all; ``size`` recipients, each with a delivery."""
    keys = [recipient_key(f"p{number}@example.org") for number in range(size)]
    with redis(folder) as (settings, store):
        store_people(settings, store, size)
        deliver(settings, store, [*keys, *[recipient_key(_WHO)] * (_DELIVERIES - 1)])
        forgetting = build_forgetting(settings, store)
        forgetting.look("p8@example.org")
        began = time.monotonic()
        found = forgetting.forget(_WHO)
        took = time.monotonic() - began
    _check(found.deliveries)
    return took * 1000


def _alike(key: str, some: random.Random) -> str:
    letters = base64.b32encode(some.randbytes(16)).decode().lower()[:26]
    return key[: 4 + _ALIKE] + letters[_ALIKE:]


def _check(found: int) -> None:
    if found != _DELIVERIES:
        raise BenchFailed(f"{found} deliveries were found of {_DELIVERIES}")


CURVES = (
    Curve(
        "forget-step",
        "the longest command of Redis while a person is forgotten, of deliveries to people of one old bucket",
        "ms",
        (1_900, 19_000, 190_000),
        _step,
        5,
    ),
    Curve("forget", "forgetting one with 20 deliveries, of recipients", "ms", (1_000, 10_000, 100_000), _whole, 50),
)
