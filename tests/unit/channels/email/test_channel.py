"""From a rendered message to the bytes that leave."""

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from notifier.channels.email.attachments import MAX_TOTAL_BYTES, File
from notifier.channels.email.channel import EmailChannel
from notifier.channels.email.dkim import DkimSigner
from notifier.channels.email.unsubscribe import UnsubscribeLinks
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.ids import recipient_key
from notifier.domain.message import EmailMessage
from notifier.domain.outcome import Deferred, Refused, Sent
from notifier.domain.rule import Channel, Rule
from notifier.engine.bridge import Engine
from notifier.engine.relays import SmtpRelays
from notifier.errors import InvalidAddress, InvalidAttachment, SettingsError
from tests.servers.faults import DROP
from tests.servers.patience import PATIENCE_S
from tests.servers.smtp import SmtpSink
from tests.unit.channels.email.test_mime import read

NOW = 1_700_000_000.0
JO = Mailbox(address="jo@example.net", name="Jo")
MESSAGE = EmailMessage(subject="Your order", text="Hello\n", html="<p>Hello</p>\n", template="abc")
PEM = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)
LINKS = UnsubscribeLinks("https://example.org", ["k" * 32])


def rule(**changes: object) -> Rule:
    values = {
        "id": "orders/mail",
        "event": "order",
        "channel": Channel.EMAIL,
        "template": "order",
        "category": "orders",
    }
    return Rule(**{**values, "transactional": False, **changes})  # type: ignore[arg-type]


def delivery(to: Mailbox = JO) -> Delivery:
    return Delivery(id="dlv_1", event=0, rule="orders/mail", to=to)


def made(**options: Any) -> EmailChannel:
    """A channel that sends nothing."""
    relays = SmtpRelays(["smtp+plain://127.0.0.1:25"], hostname="example.org")
    return EmailChannel(relays, sender="Shop <shop@example.org>", hostname="mail.example.org", **options)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    engine.start()
    yield engine
    engine.stop(grace=1)


@pytest.fixture
def channel(engine: Engine, smtp_sink: SmtpSink) -> Iterator[EmailChannel]:
    relays = SmtpRelays([f"smtp+plain://127.0.0.1:{smtp_sink.port}"], hostname="mail.example.org", timeout=10)
    channel = EmailChannel(relays, sender="Shop <shop@example.org>", hostname="mail.example.org", unsubscribe=LINKS)
    yield channel
    engine.run(channel.close, timeout=PATIENCE_S)


def test_a_composed_mail_arrives(engine: Engine, channel: EmailChannel, smtp_sink: SmtpSink) -> None:
    # Given a mail
    mail = channel.compose(delivery(), JO, rule(), MESSAGE, now=NOW)

    # When it is sent
    outcome = engine.run(lambda: channel.send(mail), timeout=PATIENCE_S)

    # Then it is there
    assert isinstance(outcome, Sent)
    [arrived] = smtp_sink.mails
    assert (arrived.sender, arrived.recipients) == ("shop@example.org", ("jo@example.net",))
    message = read(arrived.data)
    assert message["To"] == "Jo <jo@example.net>"
    assert message["From"] == "Shop <shop@example.org>"
    assert message["Message-ID"] == "<dlv_1@mail.example.org>"


def test_a_refused_address_is_suppressed(engine: Engine, channel: EmailChannel, smtp_sink: SmtpSink) -> None:
    smtp_sink.reply("RCPT", "550 5.1.1 no such user")
    mail = channel.compose(delivery(), JO, rule(), MESSAGE, now=NOW)
    outcome = engine.run(lambda: channel.send(mail), timeout=PATIENCE_S)
    assert isinstance(outcome, Refused)
    assert outcome.suppress


def test_a_connection_lost_after_the_dot_is_uncertain(
    engine: Engine, channel: EmailChannel, smtp_sink: SmtpSink
) -> None:
    smtp_sink.reply("ACCEPTED", DROP)
    mail = channel.compose(delivery(), JO, rule(), MESSAGE, now=NOW)
    outcome = engine.run(lambda: channel.send(mail), timeout=PATIENCE_S)
    assert isinstance(outcome, Deferred)
    assert outcome.uncertain


def test_the_mark_is_passed_on(engine: Engine, channel: EmailChannel, smtp_sink: SmtpSink) -> None:
    marks = []

    async def mark() -> None:
        marks.append(len(smtp_sink.mails))

    mail = channel.compose(delivery(), JO, rule(), MESSAGE, now=NOW)
    engine.run(lambda: channel.send(mail, before_final_dot=mark), timeout=PATIENCE_S)
    assert marks == [0]


def test_what_a_recipient_can_switch_off_says_how(channel: EmailChannel) -> None:
    mail = channel.compose(delivery(), JO, rule(), MESSAGE, now=NOW)
    message = read(mail.content)
    url = LINKS.url(recipient_key("jo@example.net"), "orders")
    assert message["List-Unsubscribe"] == f"<{url}>"
    assert channel.unsubscribe_url(JO, rule()) == url


def test_what_cannot_be_switched_off_offers_no_link(channel: EmailChannel) -> None:
    mail = channel.compose(delivery(), JO, rule(transactional=True), MESSAGE, now=NOW)
    assert "List-Unsubscribe" not in read(mail.content)
    assert channel.unsubscribe_url(JO, rule(transactional=True)) == ""


def test_a_rule_may_name_its_own_sender(channel: EmailChannel) -> None:
    mail = channel.compose(delivery(), JO, rule(sender="Böörds <b@bücher.example>"), MESSAGE, now=NOW)
    assert mail.sender == "b@xn--bcher-kva.example"
    assert read(mail.content)["From"].addresses[0].display_name == "Böörds"


@pytest.mark.parametrize(
    ("pattern", "envelope"),
    [
        ("", "shop@example.org"),
        ("bounces@example.org", "bounces@example.org"),
        ("bounces+{id}@Example.org", "bounces+dlv_1@example.org"),
        ("{id}@b\u00fccher.example", "dlv_1@xn--bcher-kva.example"),
        (" bounces@example.org\n", "bounces@example.org"),
    ],
)
def test_bounces_go_where_the_setting_says(pattern: str, envelope: str) -> None:
    mail = made(return_path=pattern).compose(delivery(), JO, rule(), MESSAGE, now=NOW)
    assert mail.sender == envelope
    assert read(mail.content)["From"] == "Shop <shop@example.org>"
    assert made().check(mail).sender == envelope


@pytest.mark.parametrize(
    "pattern", ["bounces", "Bounces <b@example.org>", "b\u00f6unces@example.org", "x" * 40 + "+{id}@example.org",
                "b+{name}@example.org", "b@{id}.example.org\r\nx", "a@example.org, b@example.org"],
)  # fmt: skip
def test_a_return_path_that_is_none_is_told_at_start(pattern: str) -> None:
    with pytest.raises(SettingsError, match="NOTIFIER_EMAIL_RETURN_PATH"):
        made(return_path=pattern)


def test_another_placeholder_in_a_return_path_is_named_as_what_is_wrong() -> None:
    with pytest.raises(SettingsError, match=r"only \{id\} stands"):
        made(return_path="bounces+{ID}@example.org")


def test_the_key_of_the_senders_domain_signs_and_a_sender_without_one_is_told() -> None:
    # Given a key of one domain
    signers = [DkimSigner("example.org", "s1", PEM)]
    channel = made(dkim=signers)

    # Then mails from it are signed and aligned, and mails from another are signed and told
    other = rule(sender="Other <info@other.example>")
    mails = [channel.compose(delivery(), JO, one, MESSAGE, now=NOW) for one in (rule(), other)]
    assert all(b"d=example.org" in mail.content for mail in mails)
    assert channel.unaligned() == channel.unaligned("news@mail.example.org") == ""
    assert "mails from other.example are signed for example.org" in channel.unaligned(other.sender)
    assert made().unaligned(other.sender) == ""

    # And with a key of its own it is aligned
    both = made(dkim=[*signers, DkimSigner("other.example", "s1", PEM)])
    assert both.unaligned(other.sender) == ""
    assert b"d=other.example" in both.compose(delivery(), JO, other, MESSAGE, now=NOW).content


def test_an_international_local_part_asks_for_smtputf8(
    engine: Engine, channel: EmailChannel, smtp_sink: SmtpSink
) -> None:
    to = Mailbox(address="jörg@bücher.example")
    mail = channel.compose(delivery(to), to, rule(), MESSAGE, now=NOW)
    assert isinstance(engine.run(lambda: channel.send(mail), timeout=PATIENCE_S), Sent)
    assert smtp_sink.mails[0].recipients == ("jörg@xn--bcher-kva.example",)


def test_an_address_that_cannot_be_is_refused_before_anything_is_sent(channel: EmailChannel) -> None:
    to = Mailbox(address="jo@example.net\r\nBcc: x@example.org")
    with pytest.raises(InvalidAddress):
        channel.compose(delivery(to), to, rule(), MESSAGE, now=NOW)


def test_files_travel_with_the_mail(channel: EmailChannel) -> None:
    files = [File("invoice.pdf", "application/pdf", b"%PDF")]
    mail = channel.compose(delivery(), JO, rule(), MESSAGE, now=NOW, attachments=files)
    [attached] = read(mail.content).iter_attachments()
    assert attached.get_filename() == "invoice.pdf"


def test_files_that_are_too_large_are_refused(channel: EmailChannel) -> None:
    files = [File("a", "text/plain", b"x" * (MAX_TOTAL_BYTES + 1))]
    with pytest.raises(InvalidAttachment):
        channel.compose(delivery(), JO, rule(), MESSAGE, now=NOW, attachments=files)


def test_a_channel_tells_how_its_relays_are_and_how_long_it_may_take(
    engine: Engine, channel: EmailChannel, smtp_sink: SmtpSink
) -> None:
    assert [state.up for state in channel.relay_states()] == [True]
    smtp_sink.reply("CONNECT", "421 4.3.2 not now")
    mail = channel.compose(delivery(), JO, rule(), MESSAGE, now=NOW)
    engine.run(lambda: channel.send(mail), timeout=PATIENCE_S)
    assert [state.reason for state in channel.relay_states()] == ["connect: 421 4.3.2 not now"]
    assert channel.longest_send == 40


def test_a_mail_does_not_show_its_words_in_logs(channel: EmailChannel) -> None:
    assert "Hello" not in repr(channel.compose(delivery(), JO, rule(), MESSAGE, now=NOW))


@pytest.mark.parametrize(
    ("sender", "hostname", "variable"),
    [("nobody", "example.org", "NOTIFIER_EMAIL_FROM"), ("a@b.example", "bad host", "NOTIFIER_EMAIL_HOSTNAME")],
)
def test_a_wrong_sender_or_hostname_is_told_at_start(sender: str, hostname: str, variable: str) -> None:
    relays = SmtpRelays(["smtp+plain://127.0.0.1:25"], hostname="example.org")
    with pytest.raises(SettingsError, match=variable):
        EmailChannel(relays, sender=sender, hostname=hostname)
