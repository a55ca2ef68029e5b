"""From a rules.yaml and an event to the mails that leave: what a rule may say of files and headers."""

import base64
import json
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.email.channel import EmailChannel, OutgoingEmail
from notifier.channels.email.composing import Asked, compose_by_rule
from notifier.channels.email.unsubscribe import UnsubscribeLinks
from notifier.domain.delivery import Mailbox, RecipientRef
from notifier.domain.event import Event
from notifier.engine.relays import SmtpRelays
from notifier.errors import InvalidAddress, InvalidAttachment, InvalidHeader, PlanningError, RenderError
from notifier.rendering.context import event_context
from notifier.rules.content import Content
from notifier.rules.planner import plan
from tests.unit.channels.email.test_mime import TEXTS, as_name, assert_fit_for_any_relay, named, read
from tests.unit.rules.trees import FOLDER, NOW, Endpoints, Tree, order

ADA = Mailbox(address="ada@example.net", name="Ada", recipient="user-7")
ICS = base64.b64encode(b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n").decode()
Send = Callable[..., list[OutgoingEmail]]


def channel() -> EmailChannel:
    relays = SmtpRelays(["smtp+plain://127.0.0.1:25"], hostname="mail.example.org")
    links = UnsubscribeLinks("https://example.org", ["k" * 32])
    return EmailChannel(relays, sender="Shop <shop@example.org>", hostname="mail.example.org", unsubscribe=links)


def known(one: Mailbox | RecipientRef) -> Mailbox | None:
    if isinstance(one, Mailbox):
        return one
    return ADA if one.recipient == "user-7" else None


def mails_of(content: Content, event: Event) -> list[OutgoingEmail]:
    """What leaves for an event, as a worker composes it."""
    found = []
    email = channel()
    for planned in plan(event, content.catalog, Endpoints(), NOW).planned:
        assert isinstance(planned.delivery.to, Mailbox | RecipientRef)
        to = known(planned.delivery.to)
        assert to is not None
        context = event_context(event, recipient={"email": to.address}, delivery_id=planned.delivery.id)
        message = content.renderer.email(planned.rule.template, context)
        compiled = content.catalog.compiled(planned.rule.id)
        asked = Asked(planned.delivery, to, planned.rule, compiled, event, message)
        found.append(compose_by_rule(email, asked, known, NOW))
    return found


@pytest.fixture
def send(tree: Tree) -> Send:
    def sent(keys: str, data: dict[str, Any], html: str = "", **attributes: Any) -> list[OutgoingEmail]:
        tree.rule(f"channel: email\nto: data.to\n{keys}")
        if html:
            tree.write(f"{FOLDER}/email.html.j2", html)
        return mails_of(Content.load(tree.root), order({"id": 1, "to": "jo@example.net", **data}, **attributes))

    return sent


def one(mails: list[OutgoingEmail]) -> EmailMessage:
    [mail] = mails
    return read(mail.content)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("inbox+7@example.org", ["inbox+7@example.org"]),
        ("Support <inbox+7@example.org>", ["Support <inbox+7@example.org>"]),
        ({"email": "a@example.org", "name": "Süd, Nord"}, ['"Süd, Nord" <a@example.org>']),
        (["a@example.org", "B <b@example.org>"], ["a@example.org", "B <b@example.org>"]),
        ("a@example.org; B <b@example.org>", ["a@example.org", "B <b@example.org>"]),
        (None, []),
        ("", []),
        ([], []),
    ],
)
def test_a_rule_says_who_gets_the_answer(send: Send, value: Any, shown: list[str]) -> None:
    mail = one(send("reply_to: data.reply", {"reply": value}))
    assert [str(address) for address in mail["Reply-To"].addresses] if shown else not mail["Reply-To"]
    if shown:
        assert [str(address) for address in mail["Reply-To"].addresses] == shown


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("user-7", "write the address"),
        (7, "a number names nobody"),
        ("a@@example.org", "not an email address"),
        ("a@example.org, Bob", "cannot be read as addresses"),
        ("a@example.org\r\nBcc: x@example.org", "line end"),
        ([f"a{n}@example.org" for n in range(11)], "at most 10"),
    ],
)
def test_an_answer_to_nobody_is_a_mistake_that_names_the_key(send: Send, value: Any, reason: str) -> None:
    with pytest.raises(InvalidHeader, match=rf"order\.shipped/one: reply_to.*{reason}"):
        send("reply_to: data.reply", {"reply": value})


def test_mails_of_a_thread_refer_to_the_same_mail_the_first_one_too(send: Send) -> None:
    # Given mails of one ticket, of another ticket, and of another tenant's ticket
    first, second, other, foreign = (
        one(send("thread: data.ticket", {"ticket": ticket}, id=number, tenant=tenant))
        for number, ticket, tenant in [("1", 7, "acme"), ("2", "7", "acme"), ("3", 8, "acme"), ("4", 7, "umbrella")]
    )

    # Then the first two have one parent, under the subject as it is
    assert first["References"] == first["In-Reply-To"] == second["References"] == second["In-Reply-To"]
    assert first["References"].startswith("<thr_")
    assert first["References"].endswith("@mail.example.org>")
    assert first["Subject"] == second["Subject"] == "Order 1"
    assert first["Message-ID"] != second["Message-ID"]
    assert len({mail["References"] for mail in (first, other, foreign)}) == 3


@pytest.mark.parametrize("value", [None, ""])
def test_a_mail_of_no_thread_refers_to_nothing(send: Send, value: Any) -> None:
    mail = one(send("thread: data.ticket", {"ticket": value}))
    assert "References" not in mail
    assert "In-Reply-To" not in mail


@pytest.mark.parametrize("value", [True, ["a"], {"id": 1}, "x" * 257, 2**200])
def test_a_thread_is_named_by_text_or_a_number(send: Send, value: Any) -> None:
    with pytest.raises(InvalidHeader, match=r"order\.shipped/one: thread"):
        send("thread: data.ticket", {"ticket": value})


def test_copies_go_out_once_each_and_show_the_same_people(send: Send) -> None:
    # When a mail has two copies, one of them named twice and once as the addressee
    people = ["Kim <kim@example.net>", "user-7", "KIM@example.net", "jo@example.net"]
    mails = send("cc: data.cc", {"to": "Jo <jo@example.net>", "cc": people})

    # Then each gets one, and every one shows to whom it is and to whom the copies are
    assert [mail.recipient for mail in mails] == ["jo@example.net", "kim@example.net", "ada@example.net"]
    letters = [read(mail.content) for mail in mails]
    assert {letter["To"] for letter in letters} == {"Jo <jo@example.net>"}
    assert {letter["Cc"] for letter in letters} == {"Kim <kim@example.net>, Ada <ada@example.net>"}

    # And an answer to all of them is one thread for all
    ids = [letter["Message-ID"] for letter in letters]
    assert len(set(ids)) == 3
    assert [letter["References"] for letter in letters] == [None, ids[0], ids[0]]

    # And each can switch off its own
    assert len({letter["List-Unsubscribe"] for letter in letters}) == 3


def test_copies_with_a_thread_refer_to_the_thread(send: Send) -> None:
    mails = send("cc: data.cc\nthread: data.id", {"cc": "kim@example.net"})
    assert len({read(mail.content)["References"] for mail in mails}) == 1


@pytest.mark.parametrize("value", [None, "", [], "jo@example.net"])
def test_a_copy_to_nobody_else_is_no_copy(send: Send, value: Any) -> None:
    mail = one(send("cc: data.cc", {"cc": value}))
    assert mail["To"] == "jo@example.net"
    assert "Cc" not in mail


def test_who_cannot_be_shown_is_left_out_and_the_others_get_theirs(send: Send) -> None:
    data = {"to": "user-7", "cc": ["kim@example.net"]}
    mails = send("cc: data.cc", data)
    assert [read(mail.content)["To"] for mail in mails] == ["Ada <ada@example.net>"] * 2


def test_a_mail_with_copies_is_to_one(send: Send) -> None:
    with pytest.raises(PlanningError, match=r"to names 2 people, and a mail with cc is to one: put the others into cc"):
        send("cc: data.cc", {"to": ["a@example.net", "b@example.net"], "cc": "kim@example.net"})
    with pytest.raises(PlanningError, match=r"cc names 21 people, at most 20"):
        send("cc: data.cc", {"cc": [f"c{n}@example.net" for n in range(21)]})


def test_a_rule_may_add_headers_of_a_list_of_names(send: Send) -> None:
    keys = """headers: {Importance: "'high'", x-entity-ref-id: data.ref, X-Tag: data.tag, Keywords: data.none}"""
    mail = one(send(keys, {"ref": 4711, "tag": "Grüße № 5", "none": None}))
    assert mail["Importance"] == "high"
    assert mail["x-entity-ref-id"] == "4711"
    assert mail["X-Tag"] == "Grüße № 5"
    assert "Keywords" not in mail


@pytest.mark.parametrize("value", [True, ["a"], {"a": 1}, "x" * 2001])
def test_a_header_is_text_or_a_number(send: Send, value: Any) -> None:
    with pytest.raises(InvalidHeader, match=r"order\.shipped/one: header X-Tag"):
        send("headers: {X-Tag: data.tag}", {"tag": value})


ATTACKS = [
    "\r\nBcc: x@example.org", "\nBcc: x@example.org", "\rBcc: x@example.org", "a\r\n\r\n<p>body</p>", "a\x00b",
    "=?utf-8?q?a=0ABcc=3A_x=40example.org?=", "=?utf-8?b?DQpCY2M6IHhAZXhhbXBsZS5vcmc=?=", "\u2028Bcc: x", "\x85Bcc: x",
    "\x0bBcc: x", "\x0cBcc: x", "\x1cBcc: x", "x" * 1200 + "\r\nBcc: x", "\ud800", "é\r\nBcc: x",
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_value_of_a_rule_becomes_another_header(send: Send, attack: str) -> None:
    # When every value that can reach a header is an attack, where it is not refused for being no address
    keys = "thread: data.x\nheaders: {X-Tag: data.x, Keywords: data.x}\nreply_to: data.who\ncc: data.who"
    who = [{"email": "kim@example.net", "name": "Kim" + attack}]
    keys += "\nattachments:\n  - {name: data.file, content: data.bytes, media_type: data.type, cid: logo}"
    data = {
        "x": ("a" + attack)[:256],
        "who": who,
        "file": ("a" + attack)[:200],
        "bytes": "aGVsbG8=",
        "type": "image/png",
    }
    mails = send(keys, data, html="<p>Hello</p>")

    # Then there is no header but ours
    for mail in mails:
        assert_fit_for_any_relay(mail.content)
        message = read(mail.content)
        assert "Bcc" not in message
        assert set(message.keys()) == {
            "From", "To", "Subject", "Date", "Message-ID", "Cc", "Reply-To", "In-Reply-To", "References", "X-Tag",
            "Keywords", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Feedback-ID", "Auto-Submitted",
            "X-Auto-Response-Suppress", "MIME-Version", "Content-Type",
        }  # fmt: skip
        assert len(message.keys()) == 19


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("key", ["reply_to", "cc", "media_type"])
def test_no_address_or_media_type_becomes_a_header(send: Send, key: str, attack: str) -> None:
    keys = f"{key}: data.x"
    if key == "media_type":
        keys = "attachments:\n  - {name: \"'a'\", content: \"'aGVsbG8='\", media_type: data.x}"
    value = "text/plain; x=y" + attack if key == "media_type" else "kim@example.net" + attack
    try:
        mails = send(keys, {"x": value})
    except (PlanningError, RenderError, InvalidAddress):
        return
    for mail in mails:
        if "Bcc" in mail.recipient or attack in mail.recipient:
            pytest.fail("an attack in the envelope")
        assert "Bcc" not in read(mail.content)


def test_an_invitation_is_one_more_form_of_the_mail_and_a_file(send: Send) -> None:
    # Given an invitation and a table
    keys = """attachments:
      - {name: "'invite.ics'", content: data.ics, media_type: "'text/calendar; method=REQUEST; charset=utf-8'"}
      - {name: "'a.csv'", content: data.csv, media_type: text/csv; charset=utf-8}
      - {name: "'empty.log'", content: data.empty}
    """
    data = {"ics": ICS, "csv": base64.b64encode(b"a;b").decode(), "empty": ""}
    content = send(keys.rstrip(), data, html="<p>Meet</p>")[0].content

    # Then programs that know invitations find one beside text and HTML, and the others a file
    message = read(content)
    assert message.get_content_type() == "multipart/mixed"
    body, *files = message.iter_parts()
    forms = list(body.iter_parts())
    assert [form.get_content_type() for form in forms] == ["text/plain", "text/html", "text/calendar"]
    assert dict(forms[2]["Content-Type"].params) == {"method": "REQUEST", "charset": "utf-8"}
    assert forms[2].get_payload(decode=True) == base64.b64decode(ICS)
    assert "Content-Disposition" not in forms[2]
    assert [file["Content-Type"] for file in files] == [
        "application/ics", 'text/csv; charset="utf-8"', "application/octet-stream"
    ]  # fmt: skip
    assert [file.get_filename() for file in files] == ["invite.ics", "a.csv", "empty.log"]
    assert [file.get_payload(decode=True) for file in files] == [base64.b64decode(ICS), b"a;b", b""]


def test_an_image_is_shown_where_the_html_names_it(send: Send) -> None:
    keys = """attachments:
      - {name: "'logo.png'", content: data.png, media_type: image/png, cid: logo}
      - {name: "'terms.pdf'", content: data.pdf, media_type: application/pdf}
    """
    data = {"png": base64.b64encode(b"PNG").decode(), "pdf": base64.b64encode(b"PDF").decode()}
    message = one(send(keys.rstrip(), data, html='<img src="cid:logo" alt="Shop">'))
    body, terms = message.iter_parts()
    text, related = body.iter_parts()
    assert (body.get_content_type(), text.get_content_type()) == ("multipart/alternative", "text/plain")
    assert related.get_content_type() == "multipart/related"
    assert related["Content-Type"].params["type"] == "text/html"
    page, logo = related.iter_parts()
    assert 'src="cid:logo"' in page.get_content()
    assert (logo["Content-ID"], logo.get_content_disposition()) == ("<logo>", "inline")
    assert (logo.get_content_type(), logo.get_payload(decode=True)) == ("image/png", b"PNG")
    assert (terms.get_filename(), terms.get_content_disposition()) == ("terms.pdf", "attachment")
    found = message.get_body(("html",))
    assert found is not None
    assert found.get_content().startswith("<img")


def test_an_image_of_a_mail_without_html_is_a_file(send: Send) -> None:
    keys = "attachments:\n  - {name: \"'a.png'\", content: \"'UE5H'\", media_type: image/png, cid: logo}"
    message = one(send(keys, {}))
    assert message.get_content_type() == "multipart/mixed"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "image/png"]


def test_an_attachment_that_cannot_be_made_says_which(send: Send) -> None:
    with pytest.raises(InvalidAttachment, match=r"one attachments\[0\]: the media type: 'pdf' is not a media type"):
        send("attachments:\n  - {name: \"'a'\", content: \"''\", media_type: data.type}", {"type": "pdf"})


def test_what_people_can_switch_off_names_its_list(send: Send) -> None:
    mail = one(send("from: News <news@shop.example.com>", {}, tenant="acme"))
    assert mail["List-Id"] == "<orders.shop.example.com>"
    campaign, customer, kind, sender = mail["Feedback-ID"].split(":")
    assert (campaign, customer, kind) == ("order.shipped-one", "acme", "orders")
    assert 5 <= len(sender) <= 15
    transactional = one(send("transactional: true", {}))
    assert "List-Id" not in transactional
    assert "Feedback-ID" not in transactional


def test_no_machine_answers_unless_the_rule_wants_answers(send: Send) -> None:
    mail = one(send("priority: high", {}))
    assert (mail["Auto-Submitted"], mail["X-Auto-Response-Suppress"]) == ("auto-generated", "OOF, AutoReply")
    ticket = one(send("auto_submitted: false", {}))
    assert "Auto-Submitted" not in ticket
    assert "X-Auto-Response-Suppress" not in ticket


def test_a_file_of_rules_may_say_so_for_all_of_them(tree: Tree) -> None:
    text = "event: order.shipped\ncategory: tickets\nauto_submitted: false\nrules:\n"
    text += "  - {id: a, channel: email, to: data.to}\n"
    tree.rules(text + "  - {id: b, channel: email, to: data.to, auto_submitted: true}\n")
    mails = mails_of(Content.load(tree.root), order({"id": 1, "to": "jo@example.net"}))
    assert [read(mail.content)["Auto-Submitted"] for mail in mails] == [None, "auto-generated"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """A rule with every key there is."""
    tree = Tree(tmp_path_factory.mktemp("everything"))
    tree.rule(
        """
        channel: email
        to: data.to
        cc: data.cc
        reply_to: data.reply
        thread: data.thread
        headers: {X-Tag: data.tag, Organization: data.tag}
        attachments:
          - {name: data.name, content: data.bytes, media_type: data.type, cid: logo}
          - {name: data.name, content: data.bytes, media_type: "'text/calendar; method=REQUEST'"}
          - {name: data.name, content: data.bytes, media_type: text/csv; charset=utf-8}
        """
    )
    tree.write(f"{FOLDER}/email.html.j2", '<p>{{ data.tag }}</p><img src="cid:logo">')
    return Content.load(tree.root)


@given(
    st.lists(TEXTS, max_size=4),
    TEXTS.map(lambda text: text[:200]),
    TEXTS.map(lambda text: text[:100].strip("./\\ \r\n\t") or "a"),
    st.binary(max_size=300),
)
def test_every_mail_with_everything_is_read_as_it_was_meant(
    everything: Content, names: list[str], tag: str, name: str, data: bytes
) -> None:
    # Given any texts in every place that takes some
    people = [{"email": f"c{number}@example.net", "name": text} for number, text in enumerate(names)]
    values = {"to": {"email": "jo@example.net", "name": tag}, "cc": people, "reply": people, "thread": tag, "tag": tag}
    values |= {"id": 1, "name": "x" + name[:40], "bytes": base64.b64encode(data).decode(), "type": "image/png"}
    try:
        mails = mails_of(everything, order(json.loads(json.dumps(values))))
    except (InvalidHeader, InvalidAttachment):
        return

    # Then each is fit to travel, and the standard library reads what was meant
    assert len(mails) == 1 + len(people)
    for mail in mails:
        assert_fit_for_any_relay(mail.content)
        message = read(mail.content)
        assert not any(part.defects for part in message.walk())
        assert named(mail.content, "To")[1] == "jo@example.net"
        for header in ("Cc", "Reply-To"):
            shown = message[header].addresses if people else ()
            assert [address.addr_spec for address in shown] == [person["email"] for person in people]
        files = [
            part for part in message.walk() if part.get_content_type() in ("image/png", "application/ics", "text/csv")
        ]
        assert [file.get_payload(decode=True) for file in files] == [data] * 3
        kinds = [part.get_content_type() for part in message.walk()]
        assert kinds == [
            "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
            "text/calendar", "application/ics", "text/csv",
        ]  # fmt: skip


def test_names_in_lists_of_people_are_cut_like_others(send: Send) -> None:
    content = send("reply_to: data.reply", {"reply": {"email": "a@example.org", "name": "é" * 200}})[0].content
    assert named(content, "Reply-To") == (as_name("é" * 200), "a@example.org")
