"""`plan`: the deliveries of one event, the same whoever plans it, whatever a rule's `to` gives."""

import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, EndpointRef, Mailbox, RecipientRef
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id
from notifier.domain.rule import Channel, Collecting, Priority
from notifier.errors import PlanningError, SchemaMismatch
from notifier.rules.catalog import Catalog
from notifier.rules.planner import MAX_PROBLEMS, Plan, plan, plan_chunks
from tests.unit.rules.test_destinations import ADDRESSES, JSON
from tests.unit.rules.trees import NOW, Endpoints, Tree, order

EMAIL = "channel: email\nto: data.to"


def planned(event: Event, catalog: Catalog, *endpoints: str) -> Plan:
    return plan(event, catalog, Endpoints(*endpoints), NOW)


def test_an_email_rule_plans_a_delivery_to_the_address_it_names(tree: Tree) -> None:
    # Given
    tree.rule(EMAIL + "\npriority: high\nexpires: 6h")

    # When
    result = planned(order({"to": {"email": "ada@example.org", "name": "Ada"}}), tree.load())

    # Then
    assert [entry.delivery for entry in result.planned] == [
        Delivery(
            id=delivery_id("/shop", "1", "order.shipped/one", "mailto:ada@example.org"),
            event=0,
            rule="order.shipped/one",
            to=Mailbox(address="ada@example.org", name="Ada"),
            queued=NOW,
            expires=NOW + 21600,
        )
    ]
    assert result.planned[0].rule.priority is Priority.HIGH
    assert (result.unmatched, result.problems) == ((), ())


def test_a_webhook_rule_plans_one_delivery_for_each_endpoint_of_the_tenant(tree: Tree) -> None:
    # Given
    tree.rule("channel: webhook")
    endpoints = Endpoints("ep_a", "ep_b", "ep_a")

    # When
    result = plan(order(tenant="acme"), tree.load(), endpoints, NOW)

    # Then
    assert [entry.delivery.to for entry in result.planned] == [
        EndpointRef(endpoint="ep_a"),
        EndpointRef(endpoint="ep_b"),
    ]
    assert endpoints.asked == [("acme", "order.shipped")]


def test_a_digest_rule_plans_items_with_their_key_and_the_key_is_part_of_the_id(tree: Tree) -> None:
    # Given
    tree.rule("channel: digest\nto: data.to\nkey: data.key\nwindow: {every: 1h}")
    catalog = tree.load()

    # When
    first = planned(order({"to": "user-7", "key": "a"}), catalog).planned[0]
    second = planned(order({"to": "user-7", "key": 7}), catalog).planned[0]

    # Then
    assert first.rule.kind is Collecting.DIGEST
    assert (first.delivery.to, first.delivery.key) == (RecipientRef(recipient="user-7"), "a")
    assert second.delivery.key == "7"
    assert first.delivery.id != second.delivery.id


@pytest.mark.parametrize(
    ("keys", "data", "reason"),
    [
        (EMAIL + "\nwhen: data.total > 0", {"to": "a@b.c", "total": 0}, "when is false: data.total > 0"),
        (EMAIL, {"to": None}, "to names nobody: data.to"),
        (EMAIL, {"to": []}, "to names nobody: data.to"),
        (EMAIL, {"to": ""}, "to names nobody: data.to"),
        ("channel: webhook", {}, "no endpoint of tenant default subscribes to order.shipped"),
    ],
)
def test_a_rule_that_sends_nothing_says_why(tree: Tree, keys: str, data: Any, reason: str) -> None:
    tree.rule(keys)
    found = planned(order(data), tree.load())
    assert [(one.rule.id, one.reason(order(data))) for one in found.unmatched] == [("order.shipped/one", reason)]
    assert found == Plan(order(data), (), unmatched=found.unmatched)


def test_an_event_nobody_has_a_rule_for_plans_nothing(tree: Tree) -> None:
    event = order(type="order.paid")
    assert planned(event, tree.load()) == Plan(event, ())


@pytest.mark.parametrize(
    ("of_rule", "of_event", "expires"),
    [
        ("", None, None),
        ("\nexpires: 1h", None, NOW + 3600),
        ("", NOW + 60, NOW + 60),
        ("\nexpires: 1h", NOW + 60, NOW + 60),
        ("\nexpires: 30s", NOW + 60, NOW + 30),
        ("\nexpires: 1h", NOW - 60, NOW - 60),
    ],
)
def test_a_delivery_expires_with_its_rule_or_its_event_whichever_is_first(
    tree: Tree, of_rule: str, of_event: float | None, expires: float | None
) -> None:
    # Given
    tree.rule(EMAIL + of_rule)
    end = None if of_event is None else datetime.fromtimestamp(of_event, UTC)

    # When an event that expired already is planned too, so that its end is seen in the ledger
    result = planned(order({"to": "a@b.c"}, expirytime=end), tree.load())

    # Then
    assert [entry.delivery.expires for entry in result.planned] == [expires]


def test_one_bad_entry_is_a_problem_and_the_others_get_theirs(tree: Tree) -> None:
    # Given
    tree.rule(EMAIL)

    # When
    result = planned(order({"to": ["a@b.c", {"email": 7}, "user-7", 3]}), tree.load())

    # Then
    assert [entry.delivery.to.identity for entry in result.planned] == ["mailto:a@b.c", "recipient:user-7"]
    assert [str(problem) for problem in result.problems] == [
        "rule order.shipped/one: to[1]: an address must be text, not a number",
        "rule order.shipped/one: to[3]: a number names nobody: expected an address, an id or an object",
    ]


def test_thousands_of_bad_entries_stay_readable(tree: Tree) -> None:
    tree.rule(EMAIL)
    result = planned(order({"to": [None] * 5000}), tree.load())
    assert (len(result.problems), result.more_problems) == (MAX_PROBLEMS, 5000 - MAX_PROBLEMS)


def test_a_failing_expression_is_an_error_that_names_the_rule_and_its_line(tree: Tree) -> None:
    # Given
    tree.rule(EMAIL)

    # When
    with pytest.raises(PlanningError) as caught:
        planned(order({}), tree.load())

    # Then
    assert str(caught.value).startswith("rule order.shipped/one (templates/order.shipped/rules.yaml:6): to failed: ")
    assert "data.to" in str(caught.value)
    assert caught.value.field == "to"


def test_a_failing_rule_does_not_cost_the_other_rules_their_deliveries(tree: Tree) -> None:
    # Given
    tree.rule("channel: email\nto: data.missing", folder="a")
    tree.rule(EMAIL, folder="b")

    # When
    result = planned(order({"to": "a@b.c"}), tree.load())

    # Then
    assert [entry.delivery.rule for entry in result.planned] == ["b/one"]
    (problem,) = result.problems
    assert (problem.rule, problem.index) == ("a/one", None)
    assert str(problem).startswith("rule a/one (templates/a/rules.yaml:6): to failed: ")


def test_when_every_rule_fails_the_error_names_them_all(tree: Tree) -> None:
    tree.rule(EMAIL, folder="a")
    tree.rule(EMAIL, folder="b")
    with pytest.raises(PlanningError, match=r"rule a/one .*; rule b/one "):
        planned(order({}), tree.load())


def test_data_that_breaks_its_schema_plans_nothing(tree: Tree) -> None:
    tree.rule(EMAIL)
    tree.json("order.shipped/schema.json", {"required": ["to"]})
    with pytest.raises(SchemaMismatch):
        planned(order({}), tree.load())


@pytest.mark.parametrize(
    "source",
    [
        "'a' * 10**9",
        "range(10**9) | list",
        "(data.to * 10**6) * 10**6",
        "9**(9**9)",
        "data.__class__.__mro__",
        "event.__init__.__globals__",
        "'%0999999999d' % 1",
        "('a' * 1000) | center(10**9)",
    ],
)
def test_a_hostile_expression_ends_as_an_error(tree: Tree, source: str) -> None:
    # Given an expression that compiles or is refused, as the sandbox likes
    tree.rule(f"channel: email\nto: {source!r}" if "'" not in source else f'channel: email\nto: "{source}"')
    if tree.problems():
        return

    # Then
    with pytest.raises(PlanningError):
        planned(order({"to": "a"}), tree.load())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(JSON | ADDRESSES | st.lists(ADDRESSES | JSON))
def test_any_to_is_planned_or_a_planning_error_and_twice_the_same(tree: Tree, to: Any) -> None:
    # Given
    if not (tree.root / "order.shipped").exists():
        tree.rule(EMAIL)
    catalog = tree.load()
    event = order({"to": to})

    # When
    try:
        first = planned(event, catalog)
    except PlanningError:
        return

    # Then another process, later, names the same deliveries, and a batch can carry them
    again = plan(event, tree.load(), Endpoints(), NOW + 1000)
    assert [entry.delivery.id for entry in first.planned] == [entry.delivery.id for entry in again.planned]
    if first.planned:
        deliveries = [entry.delivery for entry in first.planned]
        batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[order()], deliveries=deliveries)
        assert Batch.decode(batch.encode()).deliveries == deliveries


def test_ids_stay_what_they_were_when_they_were_first_published(tree: Tree) -> None:
    """A change here would send everything that is on its way a second time."""
    tree.rule("channel: digest\nto: data.to\nkey: data.key\nwindow: {every: 1h}")
    ids = [entry.delivery.id for entry in planned(order({"to": ["a@b.c", "u"], "key": "k"}), tree.load()).planned]
    assert ids == ["dlv_ba3bawxlpjzuqzo5csabhtgwia", "dlv_xfsptyrulzhwon3dny7ybectdm"]


def test_chunks_together_are_the_whole_plan(tree: Tree) -> None:
    # Given
    tree.rule(EMAIL, folder="a")
    tree.rule("channel: email\nto: data.missing", folder="b")
    tree.rule("channel: webhook", folder="c")
    catalog = tree.load()
    event = order({"to": [*(f"user-{n}" for n in range(25)), None]})

    # When
    whole = plan(event, catalog, Endpoints(), NOW)
    chunks = list(plan_chunks(event, catalog, Endpoints(), NOW, chunk=10))

    # Then the last one carries what is left to say
    assert [len(chunk.planned) for chunk in chunks] == [10, 10, 5]
    assert tuple(entry for chunk in chunks for entry in chunk.planned) == whole.planned
    assert [(chunk.unmatched, chunk.problems) for chunk in chunks] == [
        ((), ()),
        ((), ()),
        (whole.unmatched, whole.problems),
    ]
    assert len(whole.problems) == 2


@pytest.mark.parametrize("count", [0, 1, 10])
def test_there_is_always_one_chunk_and_never_an_empty_one_more(tree: Tree, count: int) -> None:
    tree.rule(EMAIL)
    event = order({"to": [f"user-{n}" for n in range(count)]})
    chunks = list(plan_chunks(event, tree.load(), Endpoints(), NOW, chunk=10))
    assert [len(chunk.planned) for chunk in chunks] == [count]


def test_errors_come_before_the_first_chunk(tree: Tree) -> None:
    tree.rule(EMAIL)
    with pytest.raises(PlanningError):
        plan_chunks(order({}), tree.load(), Endpoints(), NOW)


@pytest.mark.slow
def test_a_fan_out_to_100_000_recipients_holds_only_chunks_in_memory(tree: Tree) -> None:
    # Given
    tree.rule(EMAIL)
    catalog = tree.load()
    event = order({"to": [f"user-{n}" for n in range(100_000)]})
    total = 0

    # When
    tracemalloc.start()
    try:
        for chunk in plan_chunks(event, catalog, Endpoints(), NOW):
            total += len(chunk.planned)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # Then (16 MB, nearly all of it the identities already seen; all deliveries at once took 178 MB)
    assert total == 100_000
    assert peak < 32_000_000


def test_a_rules_expiry_counts_from_when_the_event_was_published_not_from_when_it_was_planned(tree: Tree) -> None:
    # Given a rule whose mails are of no use after a quarter of an hour
    tree.rule(EMAIL + "\nexpires: 15m")

    # When its event has waited for ten minutes, or its publisher's clock is ahead
    late, ahead = (
        next(plan_chunks(order({"to": "a@b.c"}), tree.load(), Endpoints(), NOW, published=published))
        for published in (NOW - 600, NOW + 3600)
    )

    # Then five minutes are left, and never more than fifteen
    assert [entry.delivery.expires for entry in late.planned] == [NOW + 300]
    assert [entry.delivery.expires for entry in ahead.planned] == [NOW + 900]
