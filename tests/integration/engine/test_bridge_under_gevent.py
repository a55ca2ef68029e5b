"""The engine in a process that gevent has patched, as the worker's is: each scenario runs in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.certificates import Certificate
from tests.servers.patience import PATIENCE_S
from tests.servers.smtp import SmtpSink

SCENARIOS = Path(__file__).with_name("patched_hammer.py")


def play(*arguments: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(SCENARIOS), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.stdout.endswith("passed\n"), ended.stderr
    assert ended.stderr == ""


@pytest.mark.parametrize(
    "scenario", ["hammer", "names", "neighbours", "deadline", "stopping", "commands", "descriptors"]
)
def test_greenlets_and_the_loop_work_together(scenario: str) -> None:
    play(scenario)


def test_greenlets_send_mail_by_host_name_through_starttls_and_login(
    tls_smtp_sink: SmtpSink, certificate: Certificate
) -> None:
    # Given a relay that offers STARTTLS and wants a login, known by a name that must be resolved
    url = tls_smtp_sink.url.replace("127.0.0.1", "localhost")

    # When greenlets of a patched process send through it
    play("mail", url, str(certificate.certificate), "40")

    # Then every mail came, encrypted and logged in
    assert len(tls_smtp_sink.mails) == 40
    assert {(mail.encrypted, mail.user) for mail in tls_smtp_sink.mails} == {(True, "user")}
