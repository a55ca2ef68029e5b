"""``throttle:`` in a rules.yaml: read, planned, explained, and every mistake told with its line."""

import pytest

from notifier.domain.rule import Throttle
from notifier.rules.explanation import explain
from notifier.rules.planner import plan
from tests.unit.rules.trees import NOW, Endpoints, Tree, order

EMAIL = "channel: email\nto: data.to\n"
DATA = {"id": "A-1", "to": "ada@example.org", "host": "web-1"}


def test_a_throttle_is_a_number_a_period_and_what_becomes_of_the_rest(tree: Tree) -> None:
    tree.rule(EMAIL + "throttle: {at_most: 3, per: 1h, key: data.host, then: digest}")

    (rule,) = tree.load().rules

    assert rule.throttle == Throttle(at_most=3, per=3600, key="data.host", overflow="digest")


def test_the_rest_is_dropped_unless_the_rule_says_otherwise(tree: Tree) -> None:
    tree.rule("channel: webhook\nthrottle: {at_most: 100, per: 60}")

    (rule,) = tree.load().rules

    assert rule.throttle == Throttle(at_most=100, per=60)


def test_the_key_travels_with_the_delivery_and_is_no_part_of_its_id(tree: Tree) -> None:
    # Given the same rule without and with a throttle
    tree.rule(EMAIL)
    (plain,) = plan(order(DATA), tree.load(), Endpoints(), NOW).planned
    tree.rule(EMAIL + "throttle: {at_most: 3, per: 1h, key: data.host}")

    # When
    (throttled,) = plan(order(DATA), tree.load(), Endpoints(), NOW).planned

    # Then a rule that gets a throttle sends nothing twice
    assert throttled.delivery.key == "web-1"
    assert throttled.delivery.id == plain.delivery.id


def test_a_webhook_is_counted_by_key_as_well(tree: Tree) -> None:
    tree.rule("channel: webhook\nthrottle: {at_most: 3, per: 1h, key: data.host}")

    planned = plan(order(DATA), tree.load(), Endpoints("ep_1", "ep_2"), NOW).planned

    assert [one.delivery.key for one in planned] == ["web-1", "web-1"]


@pytest.mark.parametrize(
    ("throttle", "told"),
    [
        ("{at_most: 3, per: 1h}", "at most 3 per 1h for each recipient; the rest is suppressed as throttled"),
        (
            "{at_most: 1, per: 90s, key: data.host, then: digest}",
            "at most 1 per 1m 30s for each recipient and data.host; the rest is collected into a digest",
        ),
    ],
)
def test_explain_says_how_much_one_recipient_gets(tree: Tree, throttle: str, told: str) -> None:
    tree.rule(EMAIL + f"throttle: {throttle}")

    (rule,) = explain(order(DATA), tree.load(), Endpoints(), tree.renderer(), NOW).rules

    assert rule.throttle == told


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (EMAIL + "throttle: 3", "7: rule 'one': throttle is a number, expected keys and values"),
        (EMAIL + "throttle: {at_most: 3}", "7: rule 'one': throttle has no per (such as `throttle:"),
        (EMAIL + "throttle: {per: 1h}", "7: rule 'one': throttle has no at_most"),
        (EMAIL + "throttle: {at_most: 0, per: 1h}", "7: at_most is '0' (1 to 10000 deliveries)"),
        (EMAIL + "throttle: {at_most: 3, per: soon}", "7: rule 'one': throttle: per is 'soon', not a duration"),
        (EMAIL + "throttle: {at_most: 3, per: 1h, than: drop}", "unknown key 'than' (did you mean then?)"),
        (EMAIL + "throttle: {at_most: 3, per: 1h, then: hold}", "then is 'hold' (one of drop, digest)"),
        (EMAIL + "throttle: {at_most: 3, per: 1h, key: data.}", "7: rule 'one': throttle: 'data.' is not an expr"),
        (
            "channel: webhook\nthrottle:\n  at_most: 3\n  per: 1h\n  then: digest",
            "9: rule 'one': throttle: then: digest has no meaning for webhook: only mails have digests",
        ),
        (
            "channel: digest\nto: data.to\nkey: data.id\nwindow: {every: 1h}\nthrottle: {at_most: 3, per: 1h}",
            "9: rule 'one': throttle has no meaning for digest: a digest's window is its throttle",
        ),
    ],
)
def test_a_mistake_is_told_with_its_file_and_line(tree: Tree, rule: str, told: str) -> None:
    tree.rule(rule)

    assert "templates/order.shipped/rules.yaml:" in tree.told()
    assert told in tree.told()


def test_collecting_needs_a_digest_template(tree: Tree) -> None:
    # Given
    text = "event: order.shipped\ncategory: orders\nrules:\n  - id: one\n    channel: email\n    to: data.to\n"
    tree.rules(text + "    throttle: {at_most: 3, per: 1h, then: digest}\n", templates=("email.subject.j2",))
    tree.write("order.shipped/email.text.j2", "text")

    # When, Then
    assert "rule 'order.shipped/one' throttles into a digest, and order.shipped has no digest template" in tree.told()
