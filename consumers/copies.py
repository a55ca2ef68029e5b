"""A fan-out copies its event into every task: how much that would be, and what to do where it is too much."""

from __future__ import annotations

from notifier.domain.trimming import trimmed
from notifier.errors import PlanningError
from notifier.rules.planner import Plan

#: Bytes of one event in all its tasks: as much as an everyday event of the largest size for 50,000 people.
MAX_COPIES_BYTES = 256 * 1024 * 1024


def check_copies(plans: tuple[Plan, ...], batch_deliveries: int) -> None:
    """Raises `PlanningError` when a fan-out would fill the broker with copies of what nobody may even read."""
    event, tasks = plans[0].event, -(-plans[0].expected // batch_deliveries)
    rules = {planned.rule.id: planned.rule for plan in plans for planned in plan.planned}
    size, rule = max((len(trimmed(event, rule.omit).encoded), rule.id) for rule in rules.values())
    if size * tasks > MAX_COPIES_BYTES:
        raise PlanningError(
            f"rule {rule}: {tasks:,} tasks would each carry {size:,} bytes of this event, {size * tasks:,} in all, and "
            f"{MAX_COPIES_BYTES:,} are allowed: name what its templates do not read in the rule's `omit`, such as the "
            "list of recipients, or publish a link to it",
            field="omit",
        )
