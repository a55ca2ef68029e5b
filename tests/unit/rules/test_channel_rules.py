"""Rules whose channel is a file: what they may say, whom they mean, and what `explain` shows of them."""

from typing import Any

import pytest

from notifier.domain.delivery import ChannelRef, Contact, RecipientRef
from notifier.domain.rule import Channel
from notifier.rules.audience import BadEntry
from notifier.rules.destinations import destinations
from notifier.rules.explanation import explain
from notifier.rules.planner import plan
from tests.unit.rules.trees import NOW, Endpoints, Tree, order

SMS = """\
url: https://api.example.com/{{ settings.NOTIFIER_CHANNEL_SMS_ACCOUNT }}/messages
to: phone
auth: {bearer: NOTIFIER_CHANNEL_SMS_TOKEN}
form: {To: "{{ address }}", Body: "{{ text }}"}
limit: 10/s
retry: [10s]
"""
OPS = 'url: NOTIFIER_CHANNEL_OPS_URL\njson: {text: "*{{ subject }}* {{ text }}"}\n'


@pytest.fixture
def shop(tree: Tree) -> Tree:
    """A folder with templates for two channel files."""
    tree.write("_channels/sms.yaml", SMS)
    tree.write("_channels/ops.yaml", OPS)
    tree.write("order.shipped/sms.text.j2", "Order {{ data.id }} for {{ recipient.name or 'you' }}\n")
    tree.write("order.shipped/ops.text.j2", "shipped")
    tree.write("order.shipped/ops.subject.j2", "Order {{ data.id }}")
    return tree


def test_a_rule_names_a_channel_file_and_gets_its_queue_schedule_and_kind(shop: Tree) -> None:
    shop.rule("channel: sms\nto: data.customer\npriority: high")

    (rule,) = shop.load().rules

    assert (rule.channel, rule.channel_word) == (Channel.HTTP_API, "sms")
    assert rule.provider is not None
    assert (rule.provider.name, rule.provider.kind) == ("sms", "phone")
    assert rule.retry is not None
    assert rule.retry.delays == (10,)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("channel: smss\nto: data.x", "channel is 'smss' (did you mean sms?)"),
        ("channel: fax\nto: data.x", "channel is 'fax' (one of email, webhook, digest, ops, sms; or describe it"),
        ("channel: http_api\nto: data.x", "channel is 'http_api'"),
        (
            "channel: sms\nto: data.x\nthrottle: {at_most: 1, per: 1h, then: digest}",
            "throttle: then: digest has no meaning for sms: only mails have digests",
        ),
        ("channel: sms", "has no to: nobody would get this sms"),
        ("channel: ops\nto: data.x", "to has no meaning for ops"),
        ("channel: sms\nto: data.x\nfrom: a@example.org", "from has no meaning for sms: only mails have a sender"),
        ("channel: sms\nto: data.x\nattachments: []", "attachments has no meaning for sms"),
        ("channel: sms\nto: data.x\nkey: data.id", "key has no meaning for sms"),
        ("channel: sms\nto: \"'0170 1234567'\"", "a phone number begins with + and the country code"),
        ("channel: sms\nto: \"'+49 12'\"", "not a phone number"),
        ("channel: sms\nto: \"'kim@example.org'\"", "a mail address names nobody here"),
    ],
)
def test_what_makes_no_sense_for_it_is_told(shop: Tree, rule: str, words: str) -> None:
    shop.rule(rule)

    assert words in shop.told()


def test_a_rule_of_a_channel_that_nobody_described_is_told_with_its_line(tree: Tree) -> None:
    tree.rule("channel: sms\nto: data.customer")

    assert "rules.yaml:5: rule 'one': channel is 'sms'" in tree.told()
    assert "_channels/sms.yaml" in tree.told()


def test_a_missing_template_is_told(shop: Tree) -> None:
    shop.rules("event: a\ncategory: x\nrules: [{id: r, channel: sms, to: data.x}]", folder="a")

    assert "a has no sms template (it needs sms.text.j2)" in shop.told()


def test_rules_are_not_blamed_for_a_channel_file_that_has_mistakes(shop: Tree) -> None:
    shop.write("_channels/sms.yaml", SMS.replace("limit: 10/s", "limit: fast"))
    shop.rule("channel: sms\nto: data.customer")

    assert [problem.where for problem in shop.problems()] == ["templates/_channels/sms.yaml:5"]


def test_a_template_of_a_channel_that_nobody_described_is_told(tree: Tree) -> None:
    tree.rule("channel: email\nto: data.customer")
    tree.write("order.shipped/fax.text.j2", "x")

    with pytest.raises(Exception, match=r"_channels/fax\.yaml is missing"):
        tree.load()


NUMBER = "+491701234567"
PHONE = Contact(contact="phone", at=NUMBER)


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        ("user-1", "phone", RecipientRef(recipient="user-1", contact="phone")),
        (4711, "phone", RecipientRef(recipient="4711", contact="phone")),
        ("+49 170 1234567", "phone", PHONE),
        ({"phone": "+49 170 1234567"}, "phone", PHONE),
        (
            {"phone": NUMBER, "email": "kim@example.org", "name": "Kim", "locale": "de"},
            "phone",
            Contact(contact="phone", at=NUMBER, name="Kim", locale="de"),
        ),
        ({"email": "kim@example.org", "id": "user-1"}, "phone", RecipientRef(recipient="user-1", contact="phone")),
        ({"phone": "12"}, "phone", Contact(contact="phone", at="12")),
        ({"slack": "https://hooks.slack.com/x"}, "slack", Contact(contact="slack", at="https://hooks.slack.com/x")),
        ({"addresses": {"slack": "U1"}}, "slack", Contact(contact="slack", at="U1")),
        ("https://hooks.slack.com/x", "slack", RecipientRef(recipient="https://hooks.slack.com/x", contact="slack")),
    ],
)
def test_whom_an_entry_means(value: Any, kind: str, found: Any) -> None:
    assert list(destinations(value, kind)) == [found]


@pytest.mark.parametrize(
    "value", [True, 1.5, {}, {"phone": 1}, {"email": "a@b.example"}, "a@b.example", "0170 1234567"]
)
def test_what_means_nobody_is_told_without_its_value(value: Any) -> None:
    for entry in destinations([value], "phone"):
        assert isinstance(entry, BadEntry)
        assert str(value) not in entry.reason


def test_one_number_in_two_spellings_is_one_delivery() -> None:
    assert list(destinations([NUMBER, "+49 170 1234567", {"phone": NUMBER}], "phone")) == [PHONE]


def test_identities_are_what_they_will_always_be() -> None:
    """They are a part of every delivery's id."""
    assert PHONE.identity == "tel:+491701234567"
    assert Contact(contact="slack", at="U1").identity == "slack:U1"
    assert ChannelRef(channel="ops").identity == "channel:ops"


def test_one_place_is_one_delivery(shop: Tree) -> None:
    shop.rule("channel: ops")

    planned = plan(order({"id": 7}), shop.load(), Endpoints(), NOW).planned

    assert [one.delivery.to for one in planned] == [ChannelRef(channel="ops")]


def test_explain_shows_the_request_with_the_names_of_settings(shop: Tree) -> None:
    # Given a rule for a number, and one for a room
    shop.rules(
        """\
        event: order.shipped
        category: orders
        rules:
          - {id: code, channel: sms, to: data.customer}
          - {id: room, channel: ops}
        """
    )

    # When an event is explained
    catalog = shop.load()
    event = order({"id": 7, "customer": {"phone": NUMBER, "name": "Kim"}})
    code, room = explain(event, catalog, Endpoints(), shop.renderer(), NOW).rules

    # Then it shows whom, what, and the request
    assert (code.channel, code.queue, code.total) == ("sms", "http_api-normal", 1)
    (said,) = code.deliveries
    assert (said.to, said.text) == ("+49…67", "Order 7 for Kim")
    assert said.body == (
        "POST https://api.example.com/NOTIFIER_CHANNEL_SMS_ACCOUNT/messages\n"
        "content-type: application/x-www-form-urlencoded\nauthorization: Bearer NOTIFIER_CHANNEL_SMS_TOKEN\n\n"
        "To=%2B491701234567&Body=Order+7+for+Kim"
    )
    (told,) = room.deliveries
    assert (told.to, told.subject) == ("channel:ops", "Order 7")
    assert told.body == 'POST NOTIFIER_CHANNEL_OPS_URL\ncontent-type: application/json\n\n{"text":"*Order 7* shipped"}'
    assert room.reason == "to the one place that templates/_channels/ops.yaml names"


def test_explain_knows_all_that_a_workers_texts_know(shop: Tree) -> None:
    # Given a file that names everything its texts may, a login by name and password, and a header
    names = "{{ text }} {{ subject }} {{ address }} {{ event.id }} {{ data.id }} {{ delivery_id[:3] }} {{ locale }}"
    people = (
        "{{ recipient.id }}{{ recipient.email }} {{ recipient.name }} {{ recipient.phone }} {{ recipient.timezone }}"
    )
    login = "{basic: {user: NOTIFIER_CHANNEL_SMS_ACCOUNT, password: NOTIFIER_CHANNEL_SMS_TOKEN}}"
    shop.write(
        "_channels/sms.yaml",
        f"""\
url: https://api.example.com/bot{{{{ address }}}}
to: phone
auth: {login}
headers: {{X-Kind: "a {{{{ data.id }}}}"}}
body: "{names} {people}"
""",
    )
    shop.write("order.shipped/sms.subject.j2", "S")
    shop.rule("channel: sms\nto: data.customer")

    # When an event to somebody who reads German is explained
    kim = {"phone": NUMBER, "name": "Kim", "locale": "de", "timezone": "Europe/Berlin"}
    (rule,) = explain(order({"id": 7, "customer": kim}), shop.load(), Endpoints(), shop.renderer(), NOW).rules

    # Then it is shown as it would be sent, and the login can be read
    (said,) = rule.deliveries
    assert said.error == ""
    assert said.body == (
        "POST https://api.example.com/bot%2B491701234567\ncontent-type: text/plain; charset=utf-8\nx-kind: a 7\n"
        "authorization: Basic NOTIFIER_CHANNEL_SMS_ACCOUNT:NOTIFIER_CHANNEL_SMS_TOKEN\n\n"
        f"Order 7 for Kim S {NUMBER} 1 7 dlv de  Kim {NUMBER} Europe/Berlin"
    )


def test_a_token_with_a_colon_stays_as_it_is_in_a_url(shop: Tree) -> None:
    shop.write(
        "_channels/sms.yaml",
        "url: https://api.example.com/bot{{ address }}/{{ text }}/send\nto: phone\nbody: x\n",
    )

    request = shop.load().providers["sms"].request.render({"address": "123:AbC-d_e", "text": "a/b?c#d@e %2e"})

    assert request.url == "https://api.example.com/bot123:AbC-d_e/a%2Fb%3Fc%23d@e%20%252e/send"


def test_explain_tells_what_cannot_be_rendered(shop: Tree) -> None:
    shop.write("_channels/sms.yaml", SMS.replace("{{ text }}", "{{ data.nope }}"))
    shop.rule("channel: sms\nto: data.customer")

    (rule,) = explain(order({"id": 7, "customer": NUMBER}), shop.load(), Endpoints(), shop.renderer(), NOW).rules

    assert "templates/_channels/sms.yaml:4" in rule.deliveries[0].error


@pytest.mark.parametrize("channel", ["channel: smss\n", "channel: fax\n", ""])
def test_what_a_channel_that_nobody_knows_would_need_is_not_asked_for(shop: Tree, channel: str) -> None:
    rule = "".join(f"    {line}\n" for line in f"{channel}to: data.x\ntransactional: true".splitlines())
    shop.write("code.sent/rules.yaml", f"event: code.sent\nrules:\n  - id: a\n{rule}")
    shop.write("code.sent/sms.text.j2", "Your code")

    (problem,) = shop.problems()

    assert "channel" in problem.what
