"""An event that was planned with endpoints that have changed since."""

from consumers.endpoint_refresh import Change, change_webhooks
from notifier.domain.delivery import Delivery, EndpointRef
from notifier.domain.rule import Channel
from notifier.rules.planner import Plan, Planned
from notifier.storage.registration import Registered
from tests.unit.consumers.factories import event, planned, rule

HOOK = rule("order.placed/partners", channel=Channel.WEBHOOK)
PLACED = event()


def hook(endpoint: str) -> Planned:
    return Planned(HOOK, Delivery(id=f"dlv_{endpoint}", event=0, rule=HOOK.id, to=EndpointRef(endpoint=endpoint)))


def answer(*done: str, known: bool = False) -> Registered:
    return Registered(known, frozenset(done), directory="2")


def ids(of: tuple[Planned, ...]) -> list[str]:
    return [one.delivery.id for one in of]


def change(plan: Plan, *endpoints: str, answer: Registered) -> Change:
    """What changes when these are the endpoints of now; only new ones are planned for."""
    return change_webhooks(plan, endpoints, lambda new: [hook(one) for one in new], answer)


def test_who_is_new_is_added_and_who_is_gone_is_dropped_and_mails_stay() -> None:
    mail = planned(PLACED)
    plan = Plan(PLACED, (mail, hook("stays"), hook("gone")), endpoints=("gone", "stays"))

    found = change(plan, "new", "stays", answer=answer())

    assert ids(found.plan.planned) == [mail.delivery.id, "dlv_stays", "dlv_new"]
    assert (ids(found.added), found.dropped, found.gone) == (["dlv_new"], ("dlv_gone",), {"gone"})
    assert [delivery.id for delivery, _ in found.registration().deliveries] == ["dlv_new"]
    assert found.plan.endpoints == ("new", "stays")


def test_what_is_on_its_way_to_an_endpoint_that_is_gone_is_not_taken_away() -> None:
    found = change(Plan(PLACED, (hook("gone"),), endpoints=("gone",)), answer=answer("dlv_gone"))

    assert (ids(found.plan.planned), found.dropped) == (["dlv_gone"], ())


def test_a_chunk_of_a_fan_out_gets_who_is_new_and_not_what_other_chunks_have() -> None:
    # Given a chunk of an event with three endpoints, one of which is its own
    plan = Plan(PLACED, (hook("second"),), endpoints=("first", "second", "third"))

    # Then only the one that was added is planned with it
    assert ids(change(plan, "first", "new", "second", "third", answer=answer()).plan.planned) == [
        "dlv_second",
        "dlv_new",
    ]


def test_nothing_changes_where_the_endpoints_are_the_same_or_no_rule_sends_to_any() -> None:
    same = Plan(PLACED, (hook("a"),), endpoints=("a",))
    none = Plan(PLACED, (planned(PLACED),))

    assert change(same, "a", answer=answer()).plan is same
    assert change(none, "a", answer=answer()).plan is none


def test_an_event_that_was_completely_planned_before_stays_as_it_was() -> None:
    plan = Plan(PLACED, (hook("gone"),), endpoints=("gone",))

    found = change(plan, "new", answer=answer(known=True))

    assert (found.plan, found.added, found.dropped) == (plan, (), ())
