"""What `templates check` and `explain` find in mails that they make and do not send."""

from __future__ import annotations

from typing import Any

import pytest

from notifier.channels.email.dkim import DkimSigner
from notifier.channels.email.looking import GMAIL_SHOWS, MailLook
from notifier.rules.content import Content
from notifier.rules.explanation import ExplainedDelivery, ExplainedRule, explain
from tests.unit.channels.email.test_channel import PEM, made
from tests.unit.rules.trees import FOLDER, NOW, Endpoints, Tree, order


def looked(tree: Tree, keys: str, data: dict[str, Any], html: str = "", **options: Any) -> ExplainedRule:
    """What `explain` says of a rule by email."""
    tree.rule(f"channel: email\nto: data.to\n{keys}")
    if html:
        tree.write(f"{FOLDER}/email.html.j2", html)
    content = Content.load(tree.root)
    event = order({"id": 1, "to": "jo@example.net", **data})
    look = MailLook(made(**options))
    [rule] = explain(event, content.catalog, Endpoints(), content.renderer, NOW, look=look).rules
    return rule


def one(rule: ExplainedRule) -> ExplainedDelivery:
    [delivery] = rule.deliveries
    return delivery


@pytest.mark.parametrize(
    ("keys", "data", "error"),
    [
        ("attachments:\n  - {name: data.n, content: data.c, media_type: data.m}", {"n": "a", "c": "", "m": "pdf"},
         "attachments[0]: the media type: 'pdf' is not a media type"),
        ("attachments:\n  - {name: data.n, content: data.c}", {"n": "a", "c": "no base64!"}, "not base64"),
        ("attachments:\n  - {name: data.n, content: data.c}", {"n": "a", "c": None}, "the content must be a text"),
        ("attachments:\n  - {name: data.n, content: data.nothing}", {"n": "a"}, "nothing"),
        ("reply_to: data.r", {"r": "a@@b"}, "reply_to"),
        ("thread: data.missing", {}, "missing"),
        ("headers: {X-Tag: data.tag}", {"tag": []}, "header X-Tag"),
        ("reply_to: data.r\nomit: data.r", {"r": "a@example.org"}, "'r'"),
        ("", {"to": "jo@@example.net"}, "not an email address"),
        ("", {"to": "a@example.net b@example.net"}, "need a comma or semicolon"),
    ],
)  # fmt: skip
def test_what_could_not_be_sent_is_told_beforehand(tree: Tree, keys: str, data: dict[str, Any], error: str) -> None:
    # Once `check` and `explain` said nothing, and each mail ended as render_failed
    assert error in one(looked(tree, keys, data)).error


def test_a_list_with_a_mistake_is_told_with_the_right_words(tree: Tree) -> None:
    rule = looked(tree, "", {"to": "a@example.net, Bob"})
    assert rule.total == 0
    assert "cannot be read as addresses; write a@example.org or Name <a@example.org>" in rule.problems[0]


def test_people_in_one_text_are_deliveries_of_their_own(tree: Tree) -> None:
    rule = looked(tree, "", {"to": "a@example.net; Bob <b@example.net>"})
    assert [delivery.to for delivery in rule.deliveries] == ["mailto:a@example.net", "mailto:b@example.net"]
    assert not any(delivery.error for delivery in rule.deliveries)


def test_an_image_and_where_it_is_shown_must_meet(tree: Tree) -> None:
    keys = "attachments:\n  - {name: \"'a.png'\", content: \"'UE5H'\", media_type: image/png, cid: logo}"
    both = one(looked(tree, keys, {}, html='<img src="cid:logo"><img src="cid:other">'))
    assert both.warnings == ("the HTML shows cid:other, and no attachment has this cid",)
    unused = one(looked(tree, keys, {}, html="<p>no image</p>"))
    assert unused.warnings == ("no HTML shows the attachment with cid logo: write cid:logo there",)
    assert not one(looked(tree, keys, {}, html='<p style="background: url(cid:logo)">cid:words are words</p>')).warnings


def test_html_that_gmail_clips_is_worth_a_word(tree: Tree) -> None:
    assert not one(looked(tree, "", {}, html="x" * GMAIL_SHOWS)).warnings
    [warning] = one(looked(tree, "", {}, html="é" * 52_000)).warnings
    assert "104,000 bytes: Gmail shows the first 102 kB" in warning


def test_a_sender_whose_signature_will_not_count_is_told(tree: Tree) -> None:
    keys = 'from: "Other <info@other.example>"'
    signers = [DkimSigner("example.org", "s1", PEM)]
    [warning] = one(looked(tree, keys, {}, dkim=signers)).warnings
    assert "mails from other.example are signed for example.org" in warning
    assert not one(looked(tree, keys, {}, dkim=[*signers, DkimSigner("other.example", "s1", PEM)])).warnings
    assert not one(looked(tree, keys, {})).warnings


def test_people_known_by_id_are_looked_up_later(tree: Tree) -> None:
    rule = looked(tree, "cc: data.cc", {"to": "user-7", "cc": ["user-8", "kim@example.net"]})
    assert [delivery.error for delivery in rule.deliveries] == ["", "", ""]
