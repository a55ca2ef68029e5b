"""`LimitTable`: which rate counts for a scope, out of settings, rules, endpoint records and what operators set live.

The more exact wins; of two equally exact ones, what an operator set while it runs:

1. set live for this one (``domain:gmail.com``)
2. written for this one: the setting with its name, a rule's ``limit``, an endpoint's rate
3. set live for each of its kind (``domain``)
4. the setting for each of its kind
5. learned: nobody limits it, but it told us to slow down (`storage.adaptive`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.domain.limit import Rate, Rates, Scope, ScopeKind

#: Where a rate comes from that nobody wrote.
LEARNED = "learned"
#: Who says it where not an endpoint's record does.
_OWN = {ScopeKind.RULE: "rules.yaml", ScopeKind.PROVIDER: "channel file"}


@dataclass(frozen=True, slots=True)
class LimitTable:
    """An immutable picture of all limits but those in rules and endpoint records, which come with the question."""

    configured: Rates = field(default_factory=dict)
    live: Rates = field(default_factory=dict)
    learned: Mapping[Scope, Rate] = field(default_factory=dict)

    kinds: frozenset[ScopeKind] = field(init=False)
    """Kinds of which something is limited here; of all others only rules and endpoints can say anything."""

    def __post_init__(self) -> None:
        # Once for each table, because every batch asks.
        kinds = frozenset(scope.kind for limits in (self.configured, self.live, self.learned) for scope in limits)
        object.__setattr__(self, "kinds", kinds)

    def find(self, kind: ScopeKind, name: str, own: Rate | None = None) -> tuple[Rate | None, str]:
        """The rate that counts and where it comes from; ``own`` is the rule's or the endpoint record's."""
        exact, each = Scope(kind, name), Scope(kind)
        if exact in self.live:
            return self.live[exact], "set live"
        if own is not None:
            return own, _OWN.get(kind, "endpoint record")
        if exact in self.configured:
            return self.configured[exact], "NOTIFIER_LIMITS"
        if each in self.live:
            return self.live[each], f"set live for each {kind}"
        if each in self.configured:
            return self.configured[each], f"NOTIFIER_LIMITS for each {kind}"
        learned = self.learned.get(exact)
        return learned, LEARNED if learned else ""
