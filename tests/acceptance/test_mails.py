"""What rules may say of mails, through the whole service: addresses, copies, answers, threads, files, bounces."""

import base64
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from uuid import uuid4

import pytest

from notifier.domain.delivery import Status
from notifier.domain.ids import event_key
from tests.acceptance.place import SOURCE, Place, mail_folder, place
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.smtp import Mail

INVITATION = """attachments:
  - {name: data.name, content: data.content, media_type: data.media_type}"""
FOLDERS = {
    "bugs.to": mail_folder("bugs.to"),
    "meeting.invited": mail_folder("meeting.invited", rule=INVITATION),
    "ticket.answered": mail_folder(
        "ticket.answered",
        text="Hello\n",
        rule="cc: data.cc\nreply_to: data.inbox\nthread: data.ticket\nauto_submitted: false",
    ),
    "ticket.closed": mail_folder("ticket.closed", rule="thread: data.ticket"),
}


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("mails"), FOLDERS) as here:
        here.service.environment["NOTIFIER_EMAIL_RETURN_PATH"] = "bounces+{id}@example.org"
        here.service.consumer()
        here.service.worker("-n", "one@%h")
        yield here


def read(mail: Mail) -> EmailMessage:
    message = email.message_from_bytes(mail.data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def mails_to(at: Place, address: str) -> list[Mail]:
    return [mail for mail in at.smtp.mails if address in mail.recipients]


def sent(at: Place, event_id: str, rule: str, address: str) -> tuple[Mail, EmailMessage]:
    """The only mail to an address, when the ledger says it was sent."""
    at.until(at.delivery(event_id, rule, f"mailto:{address}"), Status.SENT)
    [mail] = mails_to(at, address)
    return mail, read(mail)


def test_people_in_one_text_get_a_mail_each(at: Place) -> None:
    # Given a text as people write it into an address field
    a, b, ada = (f"{name}-{uuid4().hex}@example.com" for name in ("a", "b", "ada"))
    event_id = at.publish("bugs.to", {"to": f'{a}; "B, C" <{b}>, Ada Lovelace <{ada}>'})

    # Then each gets one, by name
    shown = [sent(at, event_id, "bugs.to/mail", address)[1]["To"] for address in (a, b, ada)]
    assert shown == [a, f'"B, C" <{b}>', f"Ada Lovelace <{ada}>"]


@pytest.mark.parametrize(
    ("media_type", "content", "kinds"),
    [
        ("text/calendar; method=REQUEST; charset=utf-8", b"BEGIN", ["text/plain", "text/calendar", "application/ics"]),
        ("text/csv; charset=utf-8", b"a;b", ["text/plain", "text/csv"]),
        ("text/plain", b"", ["text/plain", "text/plain"]),
    ],
)  # fmt: skip
def test_files_arrive_with_their_parameters_and_may_be_empty(
    at: Place, media_type: str, content: bytes, kinds: list[str]
) -> None:
    to = f"{uuid4().hex}@example.com"
    data = {"to": to, "name": "file", "media_type": media_type, "content": base64.b64encode(content).decode()}
    _, message = sent(at, at.publish("meeting.invited", data), "meeting.invited/mail", to)
    parts = [part for part in message.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == kinds
    assert parts[-1].get_payload(decode=True) == content
    assert media_type.partition("; ")[2] in " ".join(part["Content-Type"].replace('"', "") for part in parts)


def test_copies_are_deliveries_of_their_own_and_show_the_same_people(at: Place) -> None:
    # Given a person known by an id, one who wants nothing any more, and two copies besides
    jo, kim, ada, gone = (f"{name}-{uuid4().hex}@example.com" for name in ("jo", "kim", "ada", "gone"))
    assert at.service.run("recipients", "set", "user-7", "--email", ada, "--name", "Ada").returncode == 0
    assert at.service.run("suppressions", "add", gone).returncode == 0
    # And one who is named by an id and by their address
    assert at.service.run("recipients", "set", "user-8", "--email", kim.upper()).returncode == 0
    data = {"to": {"email": jo, "name": "Jo"}, "cc": [f"Kim <{kim}>", "user-7", gone, kim, jo, "user-8"], "ticket": 7}
    data["inbox"] = "Support <inbox+7@example.org>"

    # When the event comes twice
    event_id = at.publish("ticket.answered", data)
    at.publish("ticket.answered", data, event_id=event_id)

    # Then each who wants it gets one mail, and all of them show the same people and where to answer
    rule = "ticket.answered/mail"
    at.until(at.delivery(event_id, rule, "recipient:user-7"), Status.SENT)
    at.until(at.delivery(event_id, rule, f"mailto:{gone}"), Status.SUPPRESSED)
    at.until(at.delivery(event_id, rule, "recipient:user-8"), Status.SKIPPED)
    found = [sent(at, event_id, rule, address) for address in (jo, kim)]
    at.until_quiet()
    [to_ada] = mails_to(at, ada)
    mails = [*(mail for mail, _ in found), to_ada]
    assert mails_to(at, gone) == []
    assert [len(mails_to(at, address)) for address in (jo, kim)] == [1, 1]
    assert not any("KIM" in recipient for mail in at.smtp.mails for recipient in mail.recipients)
    letters = [read(mail) for mail in mails]
    assert {letter["To"] for letter in letters} == {f"Jo <{jo}>"}
    assert {letter["Cc"] for letter in letters} == {f"Kim <{kim}>, Ada <{ada}>, {gone}"}
    assert {letter["Reply-To"] for letter in letters} == {"Support <inbox+7@example.org>"}
    assert not any(letter["Auto-Submitted"] for letter in letters)

    # And a later mail of the ticket belongs to the same thread
    closed = at.publish("ticket.closed", {"to": jo, "ticket": "7"})
    at.until(at.delivery(closed, "ticket.closed/mail", f"mailto:{jo}"), Status.SENT)
    later = next(letter for letter in map(read, mails_to(at, jo)) if "Auto-Submitted" in letter)
    assert {letter["References"] for letter in (*letters, later)} == {letters[0]["In-Reply-To"]}

    # And a bounce names its delivery
    assert [mail.sender for mail in mails] == [
        f"bounces+{letter['Message-ID'].strip('<>').partition('@')[0]}@example.org" for letter in letters
    ]


def test_a_mail_with_copies_to_several_is_parked_and_says_what_to_write(at: Place) -> None:
    data = {"to": ["a@example.com", "b@example.com"], "cc": "kim@example.com", "ticket": 8, "inbox": None}
    event_id = at.publish("ticket.answered", data)
    parked = at.until_parked(event_key(SOURCE, event_id))
    assert "a mail with cc is to one: put the others into cc" in parked.reason
