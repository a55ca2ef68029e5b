"""What mail servers will hold against us is told at start, a line for each, and by `notifier config`."""

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from notifier.channels.email.dkim import DkimSigner
from notifier.cli.application import application
from notifier.settings import Settings
from notifier.wiring.advice import mail_advice, warn_of_mail_settings, warn_of_senders
from tests.unit.channels.email.test_channel import PEM, made, rule

GOOD = {
    "email_hostname": "mail.example.com",
    "smtp_url": "smtp://relay.example.com",
    "email_from": "Shop <shop@example.com>",
    "dkim_domain": "example.com",
    "dkim_selector": "s1",
    "dkim_key": "key",
}


@pytest.mark.parametrize(
    ("changed", "settings"),
    [
        ({}, []),
        ({"email_hostname": "localhost"}, ["NOTIFIER_EMAIL_HOSTNAME"]),
        ({"smtp_url": "smtp+plain://relay.example.com:25"}, ["NOTIFIER_SMTP_URL"]),
        ({"smtp_url": "smtp+plain://10.0.0.7 smtp+plain://10.0.0.8"}, ["NOTIFIER_SMTP_URL", "NOTIFIER_SMTP_URL"]),
        ({"smtp_url": "smtp+plain://127.0.0.1:25, smtp+plain://localhost, smtp+plain://[::1]:25"}, []),
        ({"smtp_url": "smtp://user@relay.example.com"}, ["NOTIFIER_SMTP_URL"]),
        ({"smtp_url": "smtp://user@relay.example.com", "smtp_token_command": "token"}, []),
        ({"smtp_url": "smtp://user@relay.example.com", "smtp_token_file": Path("token")}, []),
        ({"smtp_url": "smtp://:password@relay.example.com"}, ["NOTIFIER_SMTP_URL"]),
        ({"smtp_url": "smtp://user:password@relay.example.com"}, []),
        ({"smtp_url": "smtp://user:password@relay.example.com:465"}, ["NOTIFIER_SMTP_URL"]),
        ({"smtp_url": "smtps://relay.example.com:587 smtps://relay.example.com:25"}, ["NOTIFIER_SMTP_URL"] * 2),
        ({"smtp_url": "smtps://relay.example.com, smtp://relay.example.com:2525"}, []),
        ({"dkim_domain": ""}, ["NOTIFIER_DKIM_DOMAIN"]),
        ({"dkim_domain": "", "dkim_keys": Path("keys")}, []),
    ],
)
def test_each_setting_that_others_refuse_mail_for_is_named(changed: dict[str, Any], settings: list[str]) -> None:
    ours = Settings.model_construct(**{**Settings().model_dump(), **GOOD, **changed})
    assert [problem.where for problem in mail_advice(ours)] == settings


def test_a_worker_tells_each_in_a_line_of_its_log(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_mail_settings(Settings(smtp_url="smtp+plain://user:secret@relay.example.com:25"))

    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert {record.message for record in caplog.records} == {"settings.advice"}
    assert "secret" not in caplog.text


def test_config_tells_them_beside_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NOTIFIER_")]:
        monkeypatch.delenv(name)
    done = CliRunner().invoke(application, ["config", "--changed"])
    assert done.exit_code == 0
    assert "warning: NOTIFIER_EMAIL_HOSTNAME: " in done.stderr
    assert "warning" not in done.stdout


def test_a_sender_whose_signature_will_not_count_is_told(caplog: pytest.LogCaptureFixture) -> None:
    # Given a key of one domain, and a rule that sends from another
    email = made(dkim=[DkimSigner("example.org", "s1", PEM)])
    rules = [rule(), rule(sender="Other <info@other.example>"), rule(sender="Other <info@other.example>")]

    # Then it is one line
    warn_of_senders(email, rules)
    assert [record.message for record in caplog.records] == ["settings.advice"]
    assert "mails from other.example are signed for example.org" in str(vars(caplog.records[0])["fields"])
