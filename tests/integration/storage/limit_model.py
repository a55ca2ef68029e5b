"""The rate limiter in plain Python: the words of `storage.limits`, without a thought for speed or round trips."""

from dataclasses import dataclass, field

from notifier.domain.limit import Rate, Scope
from notifier.storage.limits import HORIZON_S, NEWCOMER_S, URGENT_S, WAITED_S, Ask, Go, Later


@dataclass
class ModelScope:
    """GCRA in its virtual-scheduling form: ``next`` is the time of the next one, never further back than the burst."""

    interval: float
    next: float = 0.0
    lines: dict[bool, float] = field(default_factory=lambda: {False: 0.0, True: 0.0})
    """Next free place: of urgent deliveries, and of all others."""

    def advance(self, now: float, rate: Rate, factor: float) -> None:
        interval = rate.interval / factor
        for kind, place in self.lines.items():
            ahead = (place - now) * interval / self.interval
            self.lines[kind] = now + min(ahead, HORIZON_S * 1e6 + interval) if ahead > 0 else 0.0
        self.interval = interval
        self.idle = (rate.burst - 1) * interval
        self.next = max(min(self.next, now + URGENT_S * 1e6 + interval), now - self.idle)

    def rests(self, now: float) -> bool:
        """Whether forgetting it changes nothing."""
        return max(self.next + self.idle, *self.lines.values()) <= now


class ModelLimits:
    """All scopes, in microseconds; a batch is one delivery after the other."""

    def __init__(self) -> None:
        self.scopes: dict[Scope, ModelScope] = {}
        self.factors: dict[Scope, float] = {}

    def reserve(self, asks: list[Ask], now: float, *, sleeps: bool) -> list[Go | Later]:
        touched = dict(pair for ask in asks for pair in ask.scopes)
        for scope, rate in touched.items():
            assert rate is not None
            factor = self.factors.get(scope, 1.0)
            state = self.scopes.setdefault(scope, ModelScope(rate.interval / factor))
            state.advance(now, rate, factor)
        answers = [self._one(ask, now, sleeps=sleeps) for ask in asks]
        for scope in touched:
            if self.scopes[scope].rests(now):
                del self.scopes[scope]
        return answers

    def is_busy(self, scope: Scope, now: float) -> bool:
        """Whether what is asked for now would have to wait."""
        return scope in self.scopes and self.scopes[scope].next > now

    def _one(self, ask: Ask, now: float, *, sleeps: bool) -> Go | Later:
        waits = {scope: max(0.0, self.scopes[scope].next - now) for scope, _ in ask.scopes}
        places = {
            s: place for s, wait in waits.items() if (place := self._place(ask, s, wait, now, sleeps)) is not None
        }
        if places:
            slowest = max(places, key=lambda scope: places[scope])
            placed = places[slowest] <= HORIZON_S * 1e6
            if placed:
                state = self.scopes[slowest]
                state.lines[ask.urgent] = now + places[slowest] + state.interval
            return Later(places[slowest], slowest, placed)
        longest = max(waits.values(), default=0.0)
        if longest > 0 and not sleeps:
            return Later(longest, max(waits, key=lambda scope: waits[scope]), placed=False)
        for scope in waits:
            self.scopes[scope].next += self.scopes[scope].interval
        return Go(longest)

    def _place(self, ask: Ask, scope: Scope, wait: float, now: float, sleeps: bool) -> float | None:
        """How far away the place in line is that it needs; None when it needs none."""
        state, waited = self.scopes[scope], scope.kind.mark in ask.waited
        patience = WAITED_S if waited else NEWCOMER_S if sleeps else 0.0
        patience = URGENT_S if ask.urgent else patience
        line = state.lines[ask.urgent]
        is_behind = not waited and line > now and state.next > now - state.idle / 2
        return max(line - now, wait) if is_behind or wait > patience * 1e6 else None
