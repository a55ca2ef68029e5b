"""The templates folder: every mistake of every file at once, told so that its author can mend it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.domain.retry import RetrySchedule
from notifier.domain.rule import Attachment, Channel, Priority, Rule, Window
from notifier.errors import RulesError
from notifier.rendering.expressions import Expressions
from notifier.rules.catalog import Catalog
from notifier.rules.loading import MAX_FILE_BYTES
from tests.unit.rules.trees import FOLDER, Tree

DESIGN = """\
    event: order.shipped
    category: orders
    rules:
      - id: customer-email
        channel: email
        priority: high
        to: data.customer
        when: data.total > 0
        expires: 6h
        from: Shop <shop@example.org>
        uncertain: park
        retry: [30, 2m, 1h]
        attachments:
          - {name: data.invoice.name, content: data.invoice.content, media_type: application/pdf}
      - id: partners
        channel: webhook
      - id: ops-summary
        channel: digest
        to: data.account.owners
        key: data.account.id
        window: {after_first: 15m, at_most: 50}
        transactional: true
        category: ops
"""
SAMPLE = {"specversion": "1.0", "id": "1", "source": "/shop", "type": FOLDER, "data": {"total": 1}}


def test_a_file_with_every_key_becomes_rules(tree: Tree) -> None:
    # Given
    tree.rules(DESIGN)

    # When
    email, webhook, digest = tree.load().rules

    # Then
    assert email == Rule(
        id="order.shipped/customer-email",
        event="order.shipped",
        channel=Channel.EMAIL,
        template="order.shipped",
        category="orders",
        transactional=False,
        priority=Priority.HIGH,
        to="data.customer",
        when="data.total > 0",
        expires=21600,
        uncertain="park",
        retry=RetrySchedule((30, 120, 3600)),
        attachments=(Attachment("data.invoice.name", "data.invoice.content", "application/pdf"),),
        sender="Shop <shop@example.org>",
        source="templates/order.shipped/rules.yaml:4",
    )
    assert (webhook.channel, webhook.priority, webhook.to) == (Channel.WEBHOOK, Priority.NORMAL, "")
    assert digest.window == Window(after_first=900, at_most=50)
    assert (digest.key, digest.category, digest.transactional) == ("data.account.id", "ops", True)


def test_many_mistakes_are_told_at_once_and_read_well(tree: Tree) -> None:
    # Given
    tree.rules(
        """\
        event: order.shiped
        categry: orders
        rules:
          - id: customer-email
            chanel: email
            to: data.customer +
            expires: 6 hours
          - id: customer-email
            channel: webhook
            to: data.partners
          - id: Ops
            channel: digest
            priority: urgent
            window: {cron: "0 9 * * *"}
            retry: [30, 2x]
        """
    )
    tree.write("order.shipped/schema.json", '{\n  "type": "objekt"\n}')
    tree.json("order.shipped/sample.json", {**SAMPLE, "type": "order.paid"})
    tree.write("payment.failed/rules.yaml", "event: payment.failed\nrules: &all []\n")

    # When
    with pytest.raises(RulesError) as caught:
        tree.load()

    # Then
    assert (
        str(caught.value)
        == """\
17 mistakes:
  templates/order.shipped/rules.yaml:2: the file has an unknown key 'categry' (did you mean category?)
  templates/order.shipped/rules.yaml:4: rule 'customer-email' has no channel (one of email, webhook, digest)
  templates/order.shipped/rules.yaml:5: rule 'customer-email' has an unknown key 'chanel' (did you mean channel?)
  templates/order.shipped/rules.yaml:6: rule 'customer-email': to: 'data.customer +' is not an expression: \
unexpected 'end of template' (something is missing before the end)
  templates/order.shipped/rules.yaml:7: rule 'customer-email': expires is '6 hours', not a duration \
(a number and s, m, h or d, such as 90s, 15m, 6h or 2d; at least 1s, at most 366d)
  templates/order.shipped/rules.yaml:8: rule 'customer-email' is here already, in line 4 (give it another id)
  templates/order.shipped/rules.yaml:10: rule 'customer-email': to has no meaning for webhook: webhooks go to the \
endpoints the tenant registered (remove to)
  templates/order.shipped/rules.yaml:11: rule 'Ops' has no to: nobody would get this digest \
(an expression naming whom, such as `to: data.customer`)
  templates/order.shipped/rules.yaml:11: rule 'Ops' has no key \
(an expression that says what belongs together, such as `key: data.account.id`)
  templates/order.shipped/rules.yaml:11: rule 'Ops': the id cannot be used in addresses and keys \
(lower-case letters, digits, - and _, at most 64)
  templates/order.shipped/rules.yaml:11: rule 'Ops' has no category \
(`category: orders` lets recipients switch it off; `transactional: true` cannot be switched off)
  templates/order.shipped/rules.yaml:13: rule 'Ops': priority has no meaning for digest: digests have one queue \
(remove priority)
  templates/order.shipped/rules.yaml:14: rule 'Ops': windows by cron come in a later release \
(use `{every: 1h}` or `{after_first: 15m, at_most: 50}`)
  templates/order.shipped/rules.yaml:15: rule 'Ops': retry is '2x', not a duration \
(a number and s, m, h or d, such as 90s, 15m, 6h or 2d; at least 1s, at most 366d)
  templates/order.shipped/schema.json:2: not a JSON Schema: type is 'objekt' (did you mean object?)
  templates/order.shipped/sample.json:5: the sample's type is 'order.paid', the rules are for 'order.shiped' \
(templates/order.shipped/rules.yaml:1) (write the same type in both)
  templates/payment.failed/rules.yaml:2: anchors (&) and aliases (*) are not allowed (write the value out)"""
    )


EMAIL = "channel: email\nto: data.customer\n"
DIGEST = "channel: digest\nto: data.owners\nkey: data.id\n"


@pytest.mark.parametrize(
    ("keys", "line", "told"),
    [
        ("channel: emial\nto: data.a", 5, "rule 'one': channel is 'emial' (did you mean email?)"),
        ("channel: [email]\nto: data.a", 5, "rule 'one': channel is a list, expected text"),
        (EMAIL + "priority: urgent", 7, "rule 'one': priority is 'urgent' (one of high, normal, low)"),
        ("channel: email", 4, "rule 'one' has no to: nobody would get this email"),
        ("channel: email\nto: ''", 6, "rule 'one' has no to"),
        (EMAIL + "key: data.id", 7, "key has no meaning for email: only digests collect by key (remove key)"),
        (EMAIL + "window: {every: 1h}", 7, "window has no meaning for email"),
        ("channel: webhook\nfrom: a@example.org", 6, "from has no meaning for webhook: only mails have a sender"),
        (EMAIL + "when: data.total >", 7, "when: 'data.total >' is not an expression"),
        (EMAIL + "expires: 0s", 7, "expires is '0s', not a duration"),
        (EMAIL + "expires: [1]", 7, "expires is a list, not a duration"),
        (EMAIL + "uncertain: maybe", 7, "uncertain is 'maybe' (one of resend, park)"),
        (EMAIL + "transactional: 1", 7, "transactional is '1' (true or false)"),
        (EMAIL + "category: a b", 7, "'a b' is no category"),
        (EMAIL + "from: nobody", 7, "'nobody' is no sender"),
        (EMAIL + 'from: "a@b.c\\r\\nBcc: x@y.z"', 7, "is no sender"),
        (EMAIL + "retry: 30", 7, "retry is a number, expected a list (start each entry with a dash)"),
        (EMAIL + f"retry: {[30] * 51}", 7, "51 retries (at most 50)"),
        (EMAIL + "template: order.paid", 4, "there is no template folder 'order.paid'"),
        (EMAIL + "template: ../order.shipped", 4, "there is no template folder '../order.shipped'"),
        (EMAIL + "attachments: [{name: data.n}]", 7, "an attachment has no content"),
        (EMAIL + "attachments: [pdf]", 7, "an attachment is text, expected keys and values"),
        (EMAIL + "attachments: [{name: data.n, content: data.c, media_type: 'a/'}]", 7, "'a/' is not an expression"),
        (DIGEST, 4, "rule 'one' has no window (such as `window: {every: 1h}`)"),
        (DIGEST + "window: 1h", 8, "window is text, expected keys and values"),
        (DIGEST + "window: {}", 8, "a window has one of every and after_first"),
        (DIGEST + "window: {every: 1h, after_first: 1m}", 8, "a window has one of every and after_first"),
        (DIGEST + "window: {at_most: 3}", 8, "a window has one of every and after_first"),
        (DIGEST + "window: {every: 1h, at_most: 3}", 8, "at_most goes with after_first only"),
        (DIGEST + "window: {after_first: 1h, at_most: 0}", 8, "at_most is '0' (1 to 10000 items)"),
        (DIGEST + "window: {timezone: recipient}", 8, "windows by timezone come in a later release"),
        (DIGEST + "window: {evry: 1h}", 8, "window has an unknown key 'evry' (did you mean every?)"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_to_do(tree: Tree, keys: str, line: int, told: str) -> None:
    # Given
    tree.rule(keys)

    # When
    problems = [str(problem) for problem in tree.problems()]

    # Then
    assert len(set(problems)) == len(problems)
    assert any(p.startswith(f"templates/order.shipped/rules.yaml:{line}: ") and told in p for p in problems), problems


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "rules.yaml:1: the file is empty"),
        ("- a", "rules.yaml:1: the file is a list, expected keys and values"),
        ("rules: []", "rules.yaml:1: the file has no event (`event: order.shipped`, or a pattern with *)"),
        ("event: a\nrules: []", "rules.yaml:2: the file has no rules"),
        ("event: a\n", "rules.yaml:1: the file has no rules"),
        ("event: a b\nrules: []", "rules.yaml:1: event is 'a b' (an event type is letters, digits"),
        ("event: a\nrules: {x: 1}", "rules.yaml:2: the file: rules is a mapping, expected a list"),
        (
            "event: a\ncategory: news, ads\nrules:\n  - email",
            "rules.yaml:2: 'news, ads' is no category (one word of letters",
        ),
        ("event: a\nrules:\n  - email", "rules.yaml:3: rule 1 is text, expected keys and values"),
        ("event: a\nrules:\n  - channel: webhook", "rules.yaml:3: rule 1 has no id"),
        ("event: a\nrules:\n" + "  - {id: x, channel: webhook}\n" * 501, "rules.yaml:2: 501 rules (at most 500"),
        ("#" * (MAX_FILE_BYTES + 1), "rules.yaml:1: the file is larger than 256 kB"),
    ],
)
def test_a_file_of_the_wrong_shape_is_told(tree: Tree, text: str, told: str) -> None:
    tree.write("order.shipped/rules.yaml", text)
    assert told in tree.told()


def test_text_that_is_not_utf_8_is_told_with_its_line(tree: Tree) -> None:
    (tree.root / FOLDER).mkdir()
    (tree.root / FOLDER / "rules.yaml").write_bytes(b"event: a\n# caf\xe9\n")
    assert tree.told() == "templates/order.shipped/rules.yaml:1: the file is not UTF-8 (line 2)"


@pytest.mark.parametrize(
    ("keys", "templates", "told"),
    [
        (EMAIL, [], "it needs email.subject.j2 and email.text.j2 or email.html.j2"),
        (DIGEST + "window: {every: 1h}", ["email.subject.j2", "email.text.j2"], "order.shipped has no digest template"),
    ],
)
def test_a_rule_without_its_templates_is_told_what_it_needs(
    tree: Tree, keys: str, templates: list[str], told: str
) -> None:
    # Given
    tree.rule(keys)
    for name in ("email.subject.j2", "email.text.j2", "digest.subject.j2", "digest.text.j2"):
        if name not in templates:
            (tree.root / FOLDER / name).unlink()

    # Then
    assert told in tree.told()


def test_a_webhook_needs_no_template(tree: Tree) -> None:
    tree.write("order.shipped/rules.yaml", "event: order.shipped\nrules: [{id: partners, channel: webhook}]\n")
    assert tree.told() == ""


def test_a_rule_may_use_the_templates_of_another_folder(tree: Tree) -> None:
    # Given
    tree.rule(EMAIL + f"template: {FOLDER}", folder="order.returned", event="order.returned")
    tree.rule(EMAIL)

    # Then
    rule = tree.load().rule("order.returned/one")
    assert rule is not None
    assert rule.template == FOLDER


def test_category_and_transactional_of_the_file_hold_unless_a_rule_says_otherwise(tree: Tree) -> None:
    # Given
    tree.rules(
        """\
        event: order.shipped
        transactional: true
        rules:
          - {id: a, channel: email, to: data.c}
          - {id: b, channel: email, to: data.c, transactional: false, category: news}
        """
    )

    # Then
    assert [(rule.category, rule.transactional) for rule in tree.load().rules] == [("", True), ("news", False)]


def test_an_expression_may_look_like_another_yaml_value(tree: Tree) -> None:
    tree.rule("channel: email\nto: \"'ops@example.org'\"\nwhen: true")
    assert [(rule.to, rule.when) for rule in tree.load().rules] == [("'ops@example.org'", "true")]


@pytest.mark.parametrize("written", ["application/pdf", "Text/Plain", "data.media_type"])
def test_a_media_type_is_written_out_or_an_expression(tree: Tree, written: str) -> None:
    # Given
    tree.rule(EMAIL + f"attachments: [{{name: data.n, content: data.c, media_type: {written}}}]")

    # When
    compiled = tree.load().compiled("order.shipped/one")

    # Then
    assert compiled is not None
    assert compiled.rule.attachments == (Attachment("data.n", "data.c", written),)
    assert (compiled.attachments[0].media_type is None) is ("/" in written)


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        ([], "sample.json:1: a sample is a CloudEvent"),
        ({**SAMPLE, "specversion": "0.3"}, "sample.json:2: not a CloudEvent: specversion is '0.3'"),
        ({k: v for k, v in SAMPLE.items() if k != "source"}, "sample.json:1: not a CloudEvent: attribute 'source'"),
        ({**SAMPLE, "id": ""}, "sample.json:3: not a CloudEvent: attribute 'id'"),
        ({**SAMPLE, "type": "order.paid"}, "sample.json:5: the sample's type is 'order.paid', the rules are for"),
        (
            {**SAMPLE, "data": {"total": "much"}},
            'sample.json:7: the sample breaks its own schema: data.total: value is not of type "number"',
        ),
    ],
)
def test_a_wrong_sample_is_told_with_its_line(tree: Tree, sample: Any, told: str) -> None:
    # Given
    tree.rule("channel: webhook")
    tree.json("order.shipped/schema.json", {"properties": {"total": {"type": "number"}}})
    tree.json("order.shipped/sample.json", sample)

    # Then
    assert told in tree.told()


def test_json_that_cannot_be_read_is_told_with_its_line(tree: Tree) -> None:
    tree.rule("channel: webhook")
    tree.write("order.shipped/sample.json", '{\n "id": "1",\n "id": "2"\n}')
    tree.write("order.shipped/schema.json", "{\n]")
    told = tree.told()
    assert "sample.json:2: 'id' is written twice in one object" in told
    assert "schema.json:2: not JSON" in told


def test_folders_whose_name_starts_with_an_underscore_are_not_read(tree: Tree) -> None:
    tree.write("_layouts/rules.yaml", "broken: [")
    tree.write("_partials/deep/rules.yaml", "broken: [")
    assert tree.told() == ""


@pytest.mark.parametrize("file", ["rules.yaml", "shop/order.shipped/rules.yaml", "order.shipped/de/sample.json"])
def test_a_file_that_lies_where_it_means_nothing_is_told(tree: Tree, file: str) -> None:
    tree.write(file, "{}")
    assert tree.told().startswith(f"templates/{file}: is not read here (move it into a folder directly below")


def test_a_link_out_of_the_folder_is_not_followed(tree: Tree, tmp_path: Path) -> None:
    # Given
    (tmp_path / "secret").write_text("password: 1")
    (tree.root / FOLDER).mkdir()
    (tree.root / FOLDER / "rules.yaml").symlink_to(tmp_path / "secret")

    # Then
    assert tree.told() == "templates/order.shipped/rules.yaml: is a link out of the templates folder (put a copy there)"


def test_the_same_id_in_two_folders_is_two_rules(tree: Tree) -> None:
    tree.rule("channel: webhook", folder="a")
    tree.rule("channel: webhook", folder="b")
    assert [rule.id for rule in tree.load().rules] == ["a/one", "b/one"]


def test_a_folder_mounted_from_a_config_map_is_read_once(tmp_path: Path) -> None:
    # Given files below a hidden, dated folder, and links to them, as Kubernetes mounts them
    (tmp_path / "mount").mkdir()
    other = Tree(tmp_path / "mount")
    other.rule("channel: webhook", folder="..2026_01_31/order.shipped")
    (other.root / "..data").symlink_to("..2026_01_31")
    (other.root / "order.shipped").symlink_to("..data/order.shipped")

    # Then
    assert [rule.id for rule in other.load().rules] == ["order.shipped/one"]


def test_a_folder_that_links_to_itself_is_read_once(tree: Tree) -> None:
    tree.rule("channel: webhook")
    (tree.root / FOLDER / "again").symlink_to(tree.root)
    assert len(tree.load().rules) == 1


def test_whoever_needs_rules_only_reads_neither_schemas_nor_samples(tree: Tree) -> None:
    # Given a rule beside a schema and a sample that are none
    tree.rule("channel: webhook")
    tree.write(f"{FOLDER}/schema.json", "not JSON")
    tree.write(f"{FOLDER}/sample.json", "not JSON either")

    # When only the rules are wanted
    catalog = Catalog.load(tree.root, tree.renderer(), Expressions(), rules_only=True)

    # Then they are there, and who wants everything still hears of the mistakes
    assert [rule.channel for rule in catalog.rules] == ["webhook"]
    assert len(tree.problems()) == 2


def test_a_templates_folder_that_is_not_there_is_told(tree: Tree) -> None:
    with pytest.raises(RulesError, match="the templates folder cannot be read: No such file"):
        Catalog.load(tree.root / "missing", tree.renderer(), Expressions())


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
KEYS = st.sampled_from(
    [
        *("event", "rules", "id", "channel", "to", "when", "key", "window", "every", "retry", "expires", "attachments"),
        *("name", "content", "category", "transactional", "template", "from", "priority", "uncertain", "cron"),
    ]
)
WORDS = st.sampled_from(["email", "webhook", "digest", "data.a", "1h", "order.shipped", "data.a b", "{{"])
YAMLISH = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=8), inner, max_size=8),
    max_leaves=30,
)
RULE = st.dictionaries(KEYS, WORDS | YAMLISH, max_size=8)
RULES_FILE = YAMLISH | st.fixed_dictionaries({"event": WORDS | YAMLISH, "rules": st.lists(RULE, max_size=4)})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(RULES_FILE, YAMLISH, YAMLISH)
def test_any_files_load_or_are_a_rules_error(tree: Tree, rules: Any, schema: Any, sample: Any) -> None:
    # Given JSON, which is YAML
    tree.write("order.shipped/rules.yaml", json.dumps(rules))
    tree.json("order.shipped/schema.json", schema)
    tree.json("order.shipped/sample.json", sample)

    # Then
    for problem in tree.problems():
        assert problem.what
        assert problem.where.startswith("templates/order.shipped/")


@pytest.mark.parametrize("name", ["Bcc", "From", "subject", "Received", "DKIM-Signature", "Content-Type", "List-Id",
    "Auto-Submitted", "X-Auto-Response-Suppress", "X-SMTPAPI", "X-MC-BccAddress", "X-MSYS-API", "X-Receiver",
    "X-a: b", "X-", "Reply-To"])  # fmt: skip
def test_a_header_that_is_not_on_the_list_is_refused_with_the_list(tree: Tree, name: str) -> None:
    tree.rule(f"""channel: email\nto: data.to\nheaders: {{"{name}": "'x'"}}""")
    told = tree.told()
    assert f"a rule cannot write the header {name!r}" in told
    assert "one of Importance, Priority" in told
    assert "or a name that begins with X-" in told


def test_a_header_is_there_once_and_has_an_expression(tree: Tree) -> None:
    tree.rule("channel: email\nto: data.to\nheaders: {X-Tag: \"'x'\", x-tag: \"'y'\", Importance: 'a +'}")
    assert "the header 'x-tag' is there twice" in tree.told()
    assert "Importance: 'a +' is not an expression" in tree.told()


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("text/calendar; method=", "'method=' is not a parameter"),
        ("text/plain; boundary=x", "a file has no boundary"),
        ("message/rfc822", "'message/rfc822' is not a media type a file can have"),
        ("text/plain;charset=a;charset=b", "there twice"),
    ],
)
def test_a_media_type_that_is_written_out_wrongly_is_told_at_load(tree: Tree, written: str, told: str) -> None:
    tree.rule(
        f"channel: email\nto: data.to\nattachments:\n  - {{name: data.n, content: data.c, media_type: '{written}'}}"
    )
    assert told in tree.told()


def test_a_cid_is_a_name_and_no_two_files_have_the_same(tree: Tree) -> None:
    files = "\n".join(f"  - {{name: data.n, content: data.c, cid: '{cid}'}}" for cid in ("logo", "logo", "a b", "<x>"))
    tree.rule(f"channel: email\nto: data.to\nattachments:\n{files}")
    assert "two attachments have the cid 'logo'" in tree.told()
    assert "'a b' is no cid" in tree.told()
    assert "'<x>' is no cid" in tree.told()


@pytest.mark.parametrize("key", ["cc", "reply_to", "thread", "headers", "auto_submitted"])
def test_keys_of_mails_mean_nothing_for_webhooks(tree: Tree, key: str) -> None:
    tree.rule(f"channel: webhook\n{key}: true")
    assert f"{key} has no meaning for webhook" in tree.told()
