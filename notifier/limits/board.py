"""`LimitBoard`: every limit as people see it, whoever set it, with the rate in force and who waits; changed live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from notifier.domain.endpoint import Endpoint
from notifier.domain.limit import UNLIMITED, Rate, Rates, Scope, ScopeKind
from notifier.domain.rule import Rule
from notifier.limits.table import LimitTable
from notifier.storage.limits import Adapted, Limits, Usage


@dataclass(frozen=True, slots=True)
class LimitView:
    """One limit."""

    scope: str
    """``relay``, ``domain:gmail.com``; a kind alone is a limit for each of that kind."""
    rate: str
    """As somebody wrote it; ``unlimited`` where a limit is lifted."""
    origin: str
    """Who says so."""
    per_second: float | None
    """In force now; None is no limit."""
    factor: float
    """Its share of the rate while it is slowed down; 1 otherwise."""
    waiting: int
    """Deliveries in its line, about."""
    line: float
    """Seconds until the last of them may go."""


class LimitBoard:
    """What ``notifier limits`` and ``/v1/limits`` are built on."""

    def __init__(
        self,
        limits: Limits,
        configured: Rates,
        rules: Callable[[], Iterable[Rule]],
        endpoints: Callable[[], Iterable[Endpoint]],
    ) -> None:
        self._limits = limits
        self._configured = configured
        self._rules = rules
        self._endpoints = endpoints

    def list(self, limit: int | None = None, after: str = "") -> list[LimitView]:
        """Every limit that somebody set or that was used a moment ago, in the order of their names.

        Or so many behind a name, which is the last of the page before.
        """
        picture = self._limits.picture()
        table = LimitTable(self._configured, picture.live, picture.learned)
        own = self._own()
        adapted, usage = self._limits.adapted(), self._limits.usage()
        scopes = {*table.configured, *table.live, *own, *adapted, *usage}
        wanted = sorted((scope for scope in scopes if str(scope) > after), key=str)
        views = (_view(scope, table, own, adapted.get(scope), usage.get(scope)) for scope in wanted)
        return list(islice((view for view in views if view is not None), limit))

    def set(self, scope: Scope, rate: Rate | None) -> None:
        """From now on, in every worker within about a second; None lifts the limit."""
        self._limits.set(scope, rate)

    def reset(self, scope: Scope) -> bool:
        """Back to what is configured; whether anything had been set or learned."""
        return self._limits.reset(scope)

    def _own(self) -> Mapping[Scope, Rate]:
        rules = {Scope(ScopeKind.RULE, rule.id): rule.limit for rule in self._rules() if rule.limit is not None}
        rates = {Scope(ScopeKind.ENDPOINT, one.id): one.rate for one in self._endpoints() if one.rate is not None}
        files = {rule.provider for rule in self._rules() if rule.provider is not None}
        ours = {Scope(ScopeKind.PROVIDER, one.name): one.limit for one in files if one.limit is not None}
        return {**rules, **rates, **ours}


def _view(
    scope: Scope, table: LimitTable, own: Mapping[Scope, Rate], adapted: Adapted | None, usage: Usage | None
) -> LimitView | None:
    rate, origin = table.find(scope.kind, scope.name, own.get(scope))
    if rate is None and not origin:
        # Was limited a moment ago, and is no more.
        return None
    factor = adapted.factor if adapted else 1.0
    return LimitView(
        scope=str(scope),
        rate=rate.written if rate else UNLIMITED,
        origin=origin,
        per_second=rate.per_second * factor if rate else None,
        factor=factor,
        waiting=usage.waiting if usage else 0,
        line=usage.line if usage else 0.0,
    )
