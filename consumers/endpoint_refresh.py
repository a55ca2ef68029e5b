"""An event that was planned with endpoints that have changed since: what that adds to its plan and takes away.

Nobody who changes an endpoint waits for planners to notice: they notice when they register (`storage.registration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from notifier.domain.channels import TRAITS
from notifier.rules.planner import Plan, Planned
from notifier.storage.registration import Registered, Registration


@dataclass(frozen=True, slots=True)
class Change:
    """A plan as it should be."""

    plan: Plan
    added: tuple[Planned, ...] = ()
    dropped: tuple[str, ...] = ()
    """Ids of deliveries that were registered and have no endpoint any more."""

    def registration(self) -> Registration:
        """Of what was added."""
        return Registration(self.plan.event, tuple((one.delivery, one.rule) for one in self.added))


def change_webhooks(plan: Plan, webhooks: Sequence[Planned], answer: Registered) -> Change:
    """``webhooks`` is all that goes to endpoints as they are now; ``answer`` what registering the old plan said.

    A chunk of a fan-out gets webhooks of other chunks too: they are registered as what they are, and claims keep the
    second copy harmless.
    """
    if answer.known:
        return Change(plan)
    wanted = {one.delivery.id for one in webhooks}
    planned = {one.delivery.id for one in plan.planned}
    added = tuple(one for one in webhooks if one.delivery.id not in planned)
    dropped = tuple(
        one.delivery.id
        for one in plan.planned
        if not TRAITS[one.rule.channel].to_people and one.delivery.id not in wanted | answer.done
    )
    kept = tuple(one for one in plan.planned if one.delivery.id not in dropped)
    return Change(replace(plan, planned=kept + added), added, dropped)
