"""`explain`: what would happen to an event and why, told without doing it."""

import json

from notifier.domain.retry import RetrySchedule
from notifier.domain.rule import Channel
from notifier.rules.explanation import Explanation, explain
from tests.unit.rules.trees import NOW, Endpoints, Tree, order

RULES = """\
    event: order.shipped
    category: orders
    rules:
      - id: customer-email
        channel: email
        priority: high
        to: data.customer
        when: data.total > 0
        expires: 1h
        retry: [1m, 10m, 1h]
      - id: partners
        channel: webhook
      - id: ops-summary
        channel: digest
        to: data.owners
        key: data.account
        window: {every: 1h}
"""
DATA = {
    "id": "A-1",
    "total": 3,
    "customer": {"email": "ada@example.org", "name": "Ada"},
    "owners": ["u1"],
    "account": 7,
}


def explained(tree: Tree, data: object = DATA, **attributes: object) -> Explanation:
    endpoints = Endpoints("ep_1", "ep_2")
    return explain(order(data, **attributes), tree.load(), endpoints, tree.renderer(), NOW)


def test_each_rule_tells_whom_it_reaches_by_which_queue_and_what_they_read(tree: Tree) -> None:
    # Given
    tree.rules(RULES)

    # When
    email, webhook, digest = explained(tree).rules

    # Then
    assert (email.rule, email.sends, email.queue) == ("order.shipped/customer-email", True, "email-high")
    assert email.reason == "when is true: data.total > 0; to: data.customer"
    assert email.source == "templates/order.shipped/rules.yaml:4"
    assert (email.deliveries[0].to, email.deliveries[0].subject) == ("mailto:ada@example.org", "Order A-1")
    assert (webhook.queue, webhook.total) == ("webhook-normal", 2)
    assert json.loads(webhook.deliveries[0].body)["type"] == "order.shipped"
    assert (digest.queue, digest.deliveries[0].key) == ("digest", "7")
    assert digest.deliveries[0].text.strip() == "Order A-1"


def test_the_timetable_is_offsets_from_the_first_try_until_it_expires(tree: Tree) -> None:
    tree.rules(RULES)
    email, webhook, _ = explained(tree).rules
    assert (email.expires, email.retries) == (NOW + 3600, (60, 660))
    assert webhook.retries[:2] == (5, 305)


def test_configured_schedules_replace_the_built_in_ones(tree: Tree) -> None:
    tree.rule("channel: webhook")
    schedules = dict.fromkeys(Channel, RetrySchedule((7, 8)))
    told = explain(order(DATA), tree.load(), Endpoints("ep_1"), tree.renderer(), NOW, schedules=schedules)
    assert told.rules[0].retries == (7, 15)


def test_a_rule_that_sends_nothing_tells_why(tree: Tree) -> None:
    tree.rules(RULES)
    email, _, digest = explained(tree, {**DATA, "total": 0, "owners": []}).rules
    assert (email.sends, email.reason) == (False, "when is false: data.total > 0")
    assert (digest.sends, digest.reason) == (False, "to names nobody: data.owners")


def test_a_failing_expression_is_told_beside_the_rules_that_work(tree: Tree) -> None:
    # Given
    tree.rules(RULES)

    # When
    email, webhook, _ = explained(tree, {key: value for key, value in DATA.items() if key != "total"}).rules

    # Then
    assert not email.sends
    assert email.problems == (email.reason,)
    assert email.reason.startswith(
        "rule order.shipped/customer-email (templates/order.shipped/rules.yaml:8): when failed"
    )
    assert webhook.sends


def test_a_message_that_cannot_be_rendered_is_told_with_its_delivery(tree: Tree) -> None:
    tree.rules(RULES)
    email = explained(tree, {key: value for key, value in DATA.items() if key != "id"}).rules[0]
    assert email.sends
    assert "order.shipped/email.subject.j2" in email.deliveries[0].error


def test_a_fan_out_is_told_by_its_number_and_its_first_deliveries(tree: Tree) -> None:
    tree.rules(RULES)
    digest = explained(tree, {**DATA, "owners": [*(f"u{n}" for n in range(50)), None]}).rules[2]
    assert (digest.total, len(digest.deliveries)) == (50, 3)
    assert digest.problems == (
        "rule order.shipped/ops-summary: to[50]: null names nobody: expected an address, an id or an object",
    )


def test_the_schema_is_told_and_does_not_hide_the_rest(tree: Tree) -> None:
    # Given
    tree.rules(RULES)
    assert (explained(tree).schema, explained(tree).valid) == ("no schema", True)
    tree.json("order.shipped/schema.json", {"required": ["total", "currency"]})

    # When
    told = explained(tree)

    # Then
    assert (told.valid, told.schema) == (
        False,
        'data: "currency" is a required property (templates/order.shipped/schema.json)',
    )
    assert len(told.rules) == 3
    assert explained(tree, {**DATA, "currency": "EUR"}).schema == "valid"


def test_a_type_without_rules_is_told_with_the_types_it_looks_like(tree: Tree) -> None:
    tree.rule("channel: webhook", folder="a", event="order.shipped")
    tree.rule("channel: webhook", folder="b", event="payment.failed")
    tree.rule("channel: webhook", folder="c", event="order.ship*")
    told = explained(tree, type="Order.Shipped")
    assert (told.rules, told.near[0], "payment.failed" in told.near) == ((), "order.shipped", False)


def test_an_expired_event_is_told_as_expired(tree: Tree) -> None:
    tree.rules(RULES)
    assert explained(tree, expirytime="2020-01-01T00:00:00Z").rules[0].expired


def test_all_of_it_can_be_written_as_json(tree: Tree) -> None:
    tree.rules(RULES)
    told = explained(tree).as_dict()
    assert json.loads(json.dumps(told))["total"] == 4
