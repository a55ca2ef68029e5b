"""Encryption is never given up: what the URL asks for happens, or nothing is sent."""

from collections.abc import Iterator

import pytest

from notifier.engine.transaction import Accepted, Broken, Phase
from tests.integration.engine.conftest import Posting
from tests.servers.certificates import Certificate
from tests.servers.smtp import SmtpSink


@pytest.fixture
def implicit_sink(certificate: Certificate) -> Iterator[SmtpSink]:
    sink = SmtpSink(certificate=certificate, implicit_tls=True)
    yield sink
    sink.close()


def test_starttls_and_login_come_before_any_mail(
    posting: Posting, tls_smtp_sink: SmtpSink, certificate: Certificate
) -> None:
    post = posting(tls_smtp_sink.url, ca_file=certificate.certificate, connections=2)
    assert all(isinstance(ended, Accepted) for ended in post.send_many(10))
    assert {(mail.encrypted, mail.user) for mail in tls_smtp_sink.mails} == {(True, "user")}


def test_implicit_tls_is_spoken_from_the_first_byte(
    posting: Posting, implicit_sink: SmtpSink, certificate: Certificate
) -> None:
    assert isinstance(posting(implicit_sink.url, ca_file=certificate.certificate).send(), Accepted)
    assert implicit_sink.mails[0].encrypted


def test_a_relay_without_starttls_gets_nothing_in_clear_text(posting: Posting, smtp_sink: SmtpSink) -> None:
    # Given a relay, or somebody between, that does not offer STARTTLS
    ended = posting(f"smtp://user:secret@127.0.0.1:{smtp_sink.port}").send()

    # Then neither login nor mail was said
    assert isinstance(ended, Broken)
    assert (ended.kind, ended.phase, ended.uncertain) == ("tls", Phase.CONNECT, False)
    assert set(smtp_sink.counters.commands) <= {"EHLO", "QUIT"}


@pytest.mark.parametrize("reply", ["454 4.7.0 TLS not available", "501 5.5.4 what"])
def test_a_refused_starttls_gets_nothing_in_clear_text(
    posting: Posting, tls_smtp_sink: SmtpSink, certificate: Certificate, reply: str
) -> None:
    tls_smtp_sink.reply("STARTTLS", reply)
    ended = posting(tls_smtp_sink.url, ca_file=certificate.certificate).send()
    assert isinstance(ended, Broken)
    assert ended.kind == "tls"
    assert "AUTH" not in tls_smtp_sink.counters.commands


def test_a_certificate_nobody_trusts_is_refused(posting: Posting, tls_smtp_sink: SmtpSink) -> None:
    post = posting(tls_smtp_sink.url)
    ended = post.send()
    assert isinstance(ended, Broken)
    assert (ended.kind, ended.uncertain) == ("tls", False)
    assert "certificate" in ended.why
    assert not post.relays.states()[0].up


def test_a_certificate_nobody_trusts_is_refused_with_implicit_tls(posting: Posting, implicit_sink: SmtpSink) -> None:
    ended = posting(implicit_sink.url).send()
    assert isinstance(ended, Broken)
    assert ended.kind == "tls"
