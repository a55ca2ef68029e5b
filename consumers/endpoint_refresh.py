"""An event that was planned with endpoints that have changed since: what that adds to its plan and takes away.

Nobody who changes an endpoint waits for planners to notice: they notice when they register (`storage.registration`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from notifier.domain.delivery import EndpointRef
from notifier.rules.planner import Plan, Planned
from notifier.storage.registration import Registered, Registration


@dataclass(frozen=True, slots=True)
class Change:
    """A plan as it should be."""

    plan: Plan
    added: tuple[Planned, ...] = ()
    dropped: tuple[str, ...] = ()
    """Ids of deliveries that were registered and have no endpoint any more."""
    gone: frozenset[str] = frozenset()
    """Endpoints that it was planned for and that nobody sends to any more."""

    def registration(self) -> Registration:
        """Of what was added."""
        return Registration(self.plan.event, tuple((one.delivery, one.rule) for one in self.added))


def change_webhooks(
    plan: Plan,
    endpoints: Sequence[str],
    plan_for: Callable[[Sequence[str]], Sequence[Planned]],
    answer: Registered,
) -> Change:
    """``endpoints`` are those of now, ``answer`` is what registering the plan said; only what is new is planned."""
    before = plan.endpoints
    if answer.known or before is None or before == endpoints:
        return Change(plan)
    known, wanted = set(before), set(endpoints)
    new, gone = [one for one in endpoints if one not in known], frozenset(known - wanted)
    added = tuple(plan_for(new)) if new else ()
    kept = without(plan, gone, answer.done)
    remaining = {one.delivery.id for one in kept.planned}
    dropped = tuple(one.delivery.id for one in plan.planned if one.delivery.id not in remaining)
    return Change(replace(kept, planned=kept.planned + added, endpoints=endpoints), added, dropped, gone)


def without(plan: Plan, gone: Collection[str], done: Collection[str] = ()) -> Plan:
    """A plan without deliveries to endpoints that are gone, but for those that are on their way."""
    if not gone:
        return plan
    kept = tuple(one for one in plan.planned if one.delivery.id in done or not _is_to(one, gone))
    return replace(plan, planned=kept)


def _is_to(one: Planned, endpoints: Collection[str]) -> bool:
    return isinstance(one.delivery.to, EndpointRef) and one.delivery.to.endpoint in endpoints
