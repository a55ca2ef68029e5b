"""Whether a fan-out would fill the broker with copies of its event."""

import pytest

from consumers.copies import MAX_COPIES_BYTES, check_copies
from notifier.errors import PlanningError
from notifier.rules.planner import Plan
from tests.unit.consumers.factories import event, planned, rule

PEOPLE = [f"p{number}@example.org" for number in range(20_000)]


def plans(expected: int, *omit: str) -> tuple[Plan, ...]:
    placed = event(data={"title": "News", "people": PEOPLE})
    return (Plan(placed, (planned(placed, by=rule(omit=omit)),), expected=expected),)


def test_a_large_event_for_very_many_is_refused_with_what_to_do() -> None:
    size = sum(len(person) + 3 for person in PEOPLE)
    tasks = MAX_COPIES_BYTES // size + 2
    with pytest.raises(PlanningError, match=r"order\.placed/customer: .* tasks .*name what its templates do not read"):
        check_copies(plans(tasks * 50), 50)


@pytest.mark.parametrize(("expected", "omit"), [(20_000, ()), (100_000_000, ("data.people",))])
def test_what_is_small_or_goes_to_few_enough_is_planned(expected: int, omit: tuple[str, ...]) -> None:
    check_copies(plans(expected, *omit), 50)
