"""`Limits`: what every rate limit has granted, shared by all workers, and what operators and relays changed of it.

`Limits.reserve` asks for a batch. `Limits.picture` is which limits exist besides the configured ones (live and learned;
`limits.table.LimitTable` makes one rate of them), `Limits.set` and `Limits.reset` are an operator's. What slows a scope
down for a while is one factor that counts from the next reservation on; `adaptive` moves it, `Limits.adapted` shows it.

Redis's clock decides, not the worker's: two workers whose clocks differ by a tenth of a second would each believe that
the other's grants lie in the past. Answers are waits, so no clock of ours takes part. A reservation that runs twice,
because a connection broke, grants less, never more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from notifier.domain.limit import UNLIMITED, Rate, Rates, Scope, parse_limit, rate_of
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.store import Store

#: Seconds that may be slept before sending: by newcomers, by those that came back after their wait in line (the
#: broker's delays are whole seconds, so they are up to 1.5 s early), and by urgent ones, who go before both.
NEWCOMER_S, WAITED_S, URGENT_S = 2.0, 3.0, 4.0
#: Seconds for which places in line are given. Longer would make a changed limit late for what waits in the broker.
HORIZON_S = 300.0
#: Limits whose use is shown; a limit for each tenant of thousands would make a list nobody reads.
SHOWN = 500


@dataclass(frozen=True, slots=True)
class Ask:
    """One delivery that wants to go now."""

    scopes: tuple[tuple[Scope, Rate | None], ...]
    """None as rate: limited only while it is adapted."""
    waited: str = ""
    """Marks (`ScopeKind.mark`) of the kinds in whose line it has waited already."""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Go:
    """It may go."""

    wait: float
    """Seconds from now; at most `URGENT_S`."""


@dataclass(frozen=True, slots=True)
class Later:
    """Too many are before it."""

    wait: float
    """Seconds after which to ask again."""
    scope: Scope
    """Whose rate it waits for, the slowest of its scopes."""
    placed: bool
    """Whether it has a place in that scope's line; then it says so when it asks again."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Which limits there are besides the configured ones."""

    version: int = 0
    live: Rates = field(default_factory=dict)
    learned: Mapping[Scope, Rate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Adapted:
    """A scope that is slowed down for now."""

    factor: float
    learned: Rate | None
    """The rate the factor counts from where none is configured."""
    changed: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How busy one limit is."""

    waiting: int
    """Places given in its line that are still to come, about."""
    line: float
    """Seconds until the last of them."""


class Limits:
    """All rate limits' state. Raises `StorageUnavailable` when Redis cannot do it now."""

    def __init__(self, store: Store, server_clock: Callable[[], float] | None = None) -> None:
        """``server_clock`` takes the place of Redis's own; for proofs that need time to stand still."""
        self._run = store.run
        self._server_clock = server_clock

    def reserve(self, asks: Sequence[Ask], *, sleeps: bool = True) -> list[Go | Later]:
        """One round trip for a whole batch, each delivery over all its scopes or over none.

        ``sleeps``: whether short waits may be slept by the caller now; otherwise only what may go at once goes.
        """
        return self._run(_reserve(asks, sleeps, self._server_clock and self._server_clock()))

    def picture(self, known: Picture | None = None) -> Picture:
        """Which limits exist now; ``known`` itself when nothing changed since, for one small read a second."""
        return self._run(_picture(known))

    def set(self, scope: Scope, rate: Rate | None) -> None:
        """From now on, in every worker within about a second; None lifts the limit that is configured."""
        text = UNLIMITED if rate is None else rate.written
        self._run(_set(command("HSET", keys.limits_live(), str(scope), text)))

    def reset(self, scope: Scope) -> bool:
        """Back to what is configured, and no longer slowed down. Whether anything was set or adapted."""
        return self._run(_reset(str(scope)))

    def adapted(self) -> dict[Scope, Adapted]:
        """Everything that is slowed down now."""
        return self._run(_adapted())

    def usage_of(self, scopes: Sequence[Scope]) -> dict[Scope, Usage]:
        """Those of them that were used a moment ago."""
        return self._run(_usage_of([str(scope) for scope in scopes]))

    def usage(self) -> dict[Scope, Usage]:
        """Limits that were used a moment ago, at most `SHOWN`; those of single recipients are left out."""
        return self._run(_usage())


def _reserve(asks: Sequence[Ask], sleeps: bool, now: float | None) -> Operation[list[Go | Later]]:
    numbers: dict[Scope, int] = {}
    described: list[str | int] = []
    wanted = []
    for ask in asks:
        parts = ["!"] if ask.urgent else []
        for scope, rate in ask.scopes:
            number = numbers.get(scope)
            if number is None:
                number = numbers[scope] = len(numbers) + 1
                described += [str(scope), repr(rate.interval) if rate else "0", rate.burst if rate else 1]
            parts.append(f"{number}+" if scope.kind.mark in ask.waited else str(number))
        wanted.append(" ".join(parts))
    scopes = list(numbers)
    places = [keys.limits_adapted(), *(keys.limit_state(str(scope)) for scope in scopes)]
    (reply,) = yield [run_script("reserve", places, *_bounds(sleeps, now), len(scopes), *described, *wanted)]
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return [_answer(wait / 1e6, at, scopes) for wait, at in pairs]


def _bounds(sleeps: bool, now: float | None) -> list[str | int]:
    times = [round(seconds * 1e6) for seconds in (NEWCOMER_S, WAITED_S, URGENT_S, HORIZON_S)]
    return ["" if now is None else round(now * 1e6), int(sleeps), *times]


def _answer(wait: float, at: int, scopes: Sequence[Scope]) -> Go | Later:
    return Go(wait) if at == 0 else Later(wait, scopes[abs(at) - 1], placed=at > 0)


def _picture(known: Picture | None) -> Operation[Picture]:
    (text,) = yield [command("GET", keys.limits_version())]
    version = int(text or 0)
    if known is not None and version == known.version:
        return known
    live, adapted = yield [command("HGETALL", keys.limits_live()), command("HGETALL", keys.limits_adapted())]
    learned = {scope: found.learned for scope, found in _parse_adapted(adapted).items() if found.learned}
    return Picture(version, {Scope.parse(name): parse_limit(rate) for name, rate in _pairs(live)}, learned)


def _set(change: Call) -> Operation[None]:
    # The version last: whoever sees it finds what it tells of.
    yield [change]
    yield [command("INCR", keys.limits_version())]


def _reset(scope: str) -> Operation[bool]:
    gone = yield [command("HDEL", keys.limits_live(), scope), command("HDEL", keys.limits_adapted(), scope)]
    yield [command("INCR", keys.limits_version())]
    return any(gone)


def _adapted() -> Operation[dict[Scope, Adapted]]:
    (entries,) = yield [command("HGETALL", keys.limits_adapted())]
    return _parse_adapted(entries)


def _parse_adapted(entries: Sequence[str] | Mapping[str, str]) -> dict[Scope, Adapted]:
    found = {}
    for name, text in _pairs(entries):
        factor, learned, changed = text.split(" ")[:3]
        rate = rate_of(float(learned)) if learned != "0" else None
        found[Scope.parse(name)] = Adapted(float(factor), rate, int(changed) / 1000)
    return found


def _usage() -> Operation[dict[Scope, Usage]]:
    pattern = keys.limit_state("*")
    cursor, names = "0", list[str]()
    while True:
        ((cursor, some),) = yield [command("SCAN", cursor, "MATCH", pattern, "COUNT", 1000, near=pattern)]
        prefix = len(pattern) - 1
        names += [name[prefix:] for name in some if not name[prefix:].startswith("recipient:")]
        if int(cursor) == 0 or len(names) >= SHOWN:
            break
    return (yield from _usage_of(sorted(set(names))[:SHOWN]))


def _usage_of(names: Sequence[str]) -> Operation[dict[Scope, Usage]]:
    if not names:
        return {}
    (seconds, micros), *states = yield [command("TIME"), *(command("GET", keys.limit_state(name)) for name in names)]
    now = int(seconds) * 1e6 + int(micros)
    return {Scope.parse(name): _parse_usage(text, now) for name, text in zip(names, states, strict=True) if text}


def _parse_usage(text: str, now: float) -> Usage:
    _, line, urgent, interval = map(float, text.split(" ")[:4])
    ahead = [max(0.0, place - now) for place in (line, urgent)]
    return Usage(round(sum(ahead) / interval), max(ahead) / 1e6)


def _pairs(entries: Sequence[str] | Mapping[str, str]) -> list[tuple[str, str]]:
    """A hash as redis-py gives it: a dictionary, or a flat list where a raw command was sent."""
    if isinstance(entries, Mapping):
        return list(entries.items())
    return list(zip(entries[::2], entries[1::2], strict=True))
