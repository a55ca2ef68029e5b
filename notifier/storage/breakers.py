"""`Breakers`: the breakers of all endpoints, shared by every worker. Only endpoints that fail cost a round trip.

A change is a compare-and-swap of one hash field, computed by the pure functions of `domain.breaker`: the policy exists
once, in Python, and not a second time in a script. What is there now is read with the endpoints (`Endpoints.get_many`).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace

from notifier.domain.breaker import Breaker, Observed, begin_probe, observe
from notifier.errors import StorageUnavailable
from notifier.storage import keys
from notifier.storage.commands import Operation, command, run_script
from notifier.storage.spread import Spread
from notifier.storage.store import Store

#: Tries of a compare-and-swap. Each failure means that another batch's observation was written.
SWAPS = 100

Change = Callable[[Breaker | None], Breaker | None]


@dataclass(frozen=True, slots=True)
class Changed:
    """One breaker before and after."""

    before: Breaker | None
    after: Breaker | None

    @property
    def opened(self) -> bool:
        """It has just opened."""
        return self.after is not None and self.after.is_open and not (self.before is not None and self.before.is_open)

    @property
    def closed(self) -> bool:
        """It has just closed."""
        return self.before is not None and self.before.is_open and not (self.after is not None and self.after.is_open)


class Breakers:
    """Changes breakers; raises `StorageUnavailable` when Redis cannot do it now, and may then be called again."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._run = store.run
        self._spread = store.spread
        self._clock = clock

    def observe(self, seen: Mapping[str, Observed], known: Mapping[str, Breaker | None]) -> dict[str, Changed]:
        """Add what a batch saw of its endpoints; ``known`` is what was read of them, and saves a read."""
        now = self._clock()
        return self._run(_swap({i: _observing(one, now) for i, one in seen.items()}, known, self._spread))

    def begin_probe(self, endpoint_id: str, known: Breaker, token: str, lease: float) -> bool:
        """Whether ``token`` may send the one delivery that shows whether the endpoint is back."""
        now = self._clock()
        change = {endpoint_id: lambda b: begin_probe(b, token, now, lease)}
        changed = self._run(_swap(change, {endpoint_id: known}, self._spread))
        after = changed[endpoint_id].after
        return after is None or not after.is_open or after.probe == token

    def clear(self, endpoint_ids: Sequence[str]) -> None:
        """Forget all failures, because a person says that the endpoint is well."""
        if endpoint_ids:
            self._run(_clear(endpoint_ids, self._spread))


def encode_breaker(breaker: Breaker | None) -> str:
    """As a field's text; empty for None. Times are kept to the microsecond, so that what was read compares equal.

    Not to the millisecond: a probe given back "now" would be due half a millisecond later for whoever asks at once.
    """
    if breaker is None:
        return ""
    return json.dumps([round(v, 6) if isinstance(v, float) else v for v in astuple(breaker)], separators=(",", ":"))


def decode_breaker(text: str | None) -> Breaker | None:
    """Reads what `encode_breaker` wrote; what another release wrote is nothing to remember."""
    if not text or text == "-":
        return None
    try:
        values = json.loads(text)
    except ValueError:
        return None
    return Breaker(*values) if isinstance(values, list) and len(values) == len(fields(Breaker)) else None


def _observing(seen: Observed, now: float) -> Change:
    return lambda breaker: observe(breaker, seen, now)


def _swap(
    changes: Mapping[str, Change], known: Mapping[str, Breaker | None], spread: Spread
) -> Operation[dict[str, Changed]]:
    expected = {i: encode_breaker(known.get(i)) for i in changes}
    done: dict[str, Changed] = {}
    # One for all tries, so that a reply that was lost is recognised.
    stamp = secrets.token_hex(4)
    for _ in range(SWAPS):
        if not expected:
            return done
        tried = {i: _changed(decode_breaker(text), changes[i], stamp) for i, text in expected.items()}
        replies = yield [
            run_script("swap_field", [keys.endpoint_breakers(spread.tag(i))], i, expected[i], encode_breaker(new.after))
            for i, new in tried.items()
        ]
        expected = {}
        for (i, change), there in zip(tried.items(), replies, strict=True):
            if there == "":
                done[i] = change
            else:
                expected[i] = "" if there == "-" else there
    raise StorageUnavailable(f"breakers of {sorted(expected)} are being changed by too many at once")


def _changed(before: Breaker | None, change: Change, stamp: str) -> Changed:
    after = change(before)
    return Changed(before, after and replace(after, stamp=stamp))


def _clear(endpoint_ids: Sequence[str], spread: Spread) -> Operation[None]:
    yield [command("HDEL", keys.endpoint_breakers(tag), *some) for tag, some in spread.parts(endpoint_ids)]
