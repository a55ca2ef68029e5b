"""An event that was planned with endpoints that have changed since."""

from consumers.endpoint_refresh import change_webhooks
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


def test_who_is_new_is_added_and_who_is_gone_is_dropped_and_mails_stay() -> None:
    mail = planned(PLACED)
    plan = Plan(PLACED, (mail, hook("stays"), hook("gone")))

    change = change_webhooks(plan, [hook("stays"), hook("new")], answer())

    assert ids(change.plan.planned) == [mail.delivery.id, "dlv_stays", "dlv_new"]
    assert (ids(change.added), change.dropped) == (["dlv_new"], ("dlv_gone",))
    assert [delivery.id for delivery, _ in change.registration().deliveries] == ["dlv_new"]


def test_what_is_on_its_way_to_an_endpoint_that_is_gone_is_not_taken_away() -> None:
    change = change_webhooks(Plan(PLACED, (hook("gone"),)), [], answer("dlv_gone"))

    assert (ids(change.plan.planned), change.dropped) == (["dlv_gone"], ())


def test_an_event_that_was_completely_planned_before_stays_as_it_was() -> None:
    plan = Plan(PLACED, (hook("gone"),))

    change = change_webhooks(plan, [hook("new")], answer(known=True))

    assert (change.plan, change.added, change.dropped) == (plan, (), ())
