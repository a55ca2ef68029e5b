"""One login, one mechanism: a wrong password is told to the relay once, a token is fresh, and none is ever shown."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from notifier.engine.relay_breaker import LOGIN_COOL_DOWN_S, LOGIN_SPREAD, LONGEST_COOL_DOWN_S
from notifier.engine.tokens import CommandToken, FileToken
from notifier.engine.transaction import Accepted, Paused, Phase, Rejected
from notifier.environment import read_settings
from notifier.errors import SettingsError
from notifier.wiring.tokens import build_tokens
from tests.integration.engine.conftest import Clock, Posting
from tests.servers.certificates import Certificate
from tests.servers.smtp import SmtpSink

Sinks = Callable[..., SmtpSink]
OLD, NEW = "ya29.old-token", "ya29.new-token"


@pytest.fixture
def sink_with(certificate: Certificate) -> Iterator[Sinks]:
    """A relay that wants a login: ``mechanisms``, ``credentials``, with TLS unless told otherwise."""
    made: list[SmtpSink] = []

    def make(mechanisms: str, *, tls: bool = True, secret: str = "secret") -> SmtpSink:
        kept = certificate if tls else None
        made.append(SmtpSink(certificate=kept, credentials=("user", secret), mechanisms=mechanisms))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


@pytest.fixture
def ca(certificate: Certificate) -> dict[str, Any]:
    return {"ca_file": certificate.certificate}


def url(sink: SmtpSink, login: str, scheme: str = "smtp") -> str:
    return f"{scheme}://{login}@127.0.0.1:{sink.port}"


@pytest.mark.parametrize("mechanisms", ["PLAIN LOGIN CRAM-MD5", "LOGIN", "CRAM-MD5", "NTLM GSSAPI PLAIN"])
def test_a_wrong_password_is_told_once_and_not_again_before_the_cool_down(
    posting: Posting, sink_with: Sinks, ca: dict[str, Any], clock: Clock, mechanisms: str
) -> None:
    # Given a relay that offers several mechanisms, and a wrong password
    sink = sink_with(mechanisms)
    post = posting(url(sink, "user:wrong"), connections=5, **ca)

    # When many mails are sent
    first, *others = post.send_together(20)

    # Then there was one login, and the others wait
    assert isinstance(first, Rejected)
    assert (first.phase, first.code) == (Phase.AUTH, 535)
    assert all(isinstance(one, Paused) and one.down for one in others)
    assert sink.counters.commands["AUTH"] == 1
    clock.now += LOGIN_COOL_DOWN_S - 0.1
    post.send()
    assert sink.counters.commands["AUTH"] == 1


def test_a_wrong_password_is_tried_seldom_enough_to_lock_no_account(
    posting: Posting, sink_with: Sinks, ca: dict[str, Any], clock: Clock
) -> None:
    # Given two workers with a wrong password
    sink = sink_with("PLAIN")
    posts = [posting(url(sink, "user:wrong"), **ca) for _ in range(2)]

    # When each looks every second for ten minutes whether the relay is back
    tries = []
    for _ in range(600):
        for post in posts:
            if not post.relays.paused_for():
                post.send()
                tries.append(clock.now)
        clock.now += 1

    # Then each has logged in four times: at once, after a minute, and after ever longer times (before: 7 times each)
    assert sink.counters.commands["AUTH"] == len(tries) == 8
    again = sorted(tries)[2:4]
    assert all(LOGIN_COOL_DOWN_S <= at - tries[0] <= (1 + LOGIN_SPREAD) * LOGIN_COOL_DOWN_S + 1 for at in again)
    # And no two workers ask at the same moment for ever
    assert len({post.relays.states()[0].probe_at for post in posts}) == 2


@pytest.mark.parametrize("scheme", ["smtp", "smtp+plain"])
@pytest.mark.parametrize("mechanisms", ["PLAIN LOGIN CRAM-MD5", "LOGIN", "CRAM-MD5", "PLAIN"])
def test_every_mechanism_we_know_logs_in(
    posting: Posting, sink_with: Sinks, ca: dict[str, Any], mechanisms: str, scheme: str
) -> None:
    sink = sink_with(mechanisms, tls=scheme == "smtp")
    assert isinstance(posting(url(sink, "user:secret", scheme), **ca).send(), Accepted)
    assert sink.mails[0].user == "user"


def test_a_mechanism_that_is_offered_and_not_taken_is_left_out_the_next_time(
    posting: Posting, sink_with: Sinks, ca: dict[str, Any], clock: Clock
) -> None:
    # Given a relay that offers PLAIN and does not have it
    sink = sink_with("PLAIN LOGIN")
    sink.reply("AUTH", "504 5.5.4 unrecognized authentication type", matching="^PLAIN")
    post = posting(url(sink, "user:secret"), **ca)

    # When it is tried again after its cool-down, Then it is by the other one
    assert isinstance(post.send(), Rejected)
    clock.now += LONGEST_COOL_DOWN_S
    assert isinstance(post.send(), Accepted)


def test_a_relay_that_asks_for_the_name_by_itself_is_given_it_then(
    posting: Posting, sink_with: Sinks, ca: dict[str, Any]
) -> None:
    # Given a relay that takes no name beside AUTH LOGIN, as RFC 4954 §4 demands: LOGIN begins with its question
    sink = sink_with("LOGIN")
    sink.reply("AUTH", "501 5.5.2 Syntax: AUTH LOGIN", matching="^LOGIN .")
    assert isinstance(posting(url(sink, "user:secret"), **ca).send(), Accepted)
    assert sink.mails[0].user == "user"


def test_a_token_from_a_file_is_read_for_each_login(
    posting: Posting, sink_with: Sinks, ca: dict[str, Any], tmp_path: Path, clock: Clock
) -> None:
    # Given a token that has expired, and a relay that says so after a challenge
    sink, file = sink_with("LOGIN XOAUTH2", secret=NEW), tmp_path / "token"
    file.write_text(OLD + "\n")
    post = posting(url(sink, "user"), tokens=FileToken(file), **ca)
    refused = post.send()
    assert isinstance(refused, Rejected)
    assert (refused.phase, refused.code) == (Phase.AUTH, 535)
    assert OLD not in repr(refused)
    assert OLD not in repr(post.relays.states())

    # When somebody has written a new one, Then the next login has it
    file.write_text(NEW)
    clock.now += LONGEST_COOL_DOWN_S
    assert isinstance(post.send(), Accepted)
    assert sink.mails[0].user == "user"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"), ("", "no token"), ("two\nlines", "no token"), ("Bearer a.b.c", "no token"),
        ('{"access_token":"lines","expires_in":3599}', "JSON"),
    ],
)  # fmt: skip
def test_a_token_file_that_holds_none_says_so_and_nothing_is_told_to_the_relay(
    posting: Posting, sink_with: Sinks, ca: dict[str, Any], tmp_path: Path, content: str | None, why: str
) -> None:
    sink, file = sink_with("XOAUTH2"), tmp_path / "token"
    if content is not None:
        file.write_text(content)
    ended = posting(url(sink, "user"), tokens=FileToken(file), **ca).send()
    assert isinstance(ended, Rejected)
    assert ended.phase is Phase.AUTH
    assert why in ended.text
    assert "lines" not in ended.text
    assert sink.counters.connections == 0


def test_a_relay_without_xoauth2_gets_no_token(
    posting: Posting, sink_with: Sinks, ca: dict[str, Any], tmp_path: Path
) -> None:
    sink, file = sink_with("PLAIN LOGIN"), tmp_path / "token"
    file.write_text(NEW)
    ended = posting(url(sink, "user"), tokens=FileToken(file), **ca).send()
    assert isinstance(ended, Rejected)
    assert ended.code == 535
    assert "XOAUTH2" in ended.text
    assert "AUTH" not in sink.counters.commands


def command(tmp_path: Path, script: str, *, seconds: float = 300.0, clock: Clock | None = None) -> CommandToken:
    """A command that writes down that it ran, then does what the script says."""
    runs = tmp_path / "runs"
    runs.touch()
    line = f"import pathlib, sys, time; runs = open({str(runs)!r}, 'a'); runs.write('x'); runs.close(); {script}"
    return CommandToken([sys.executable, "-c", line], os.environ, seconds=seconds, clock=clock or Clock())


def runs(tmp_path: Path) -> int:
    return len((tmp_path / "runs").read_text())


def test_a_commands_token_is_used_for_all_connections_until_its_time_is_over(
    posting: Posting, sink_with: Sinks, ca: dict[str, Any], tmp_path: Path, clock: Clock
) -> None:
    # Given a command that prints the token, and a connection for each mail
    sink = sink_with("XOAUTH2", secret=NEW)
    tokens = command(tmp_path, f"print({NEW!r})", clock=clock)
    post = posting(url(sink, "user"), tokens=tokens, connections=4, mails_per_connection=1, **ca)

    # When mails are sent, Then it ran once, and again when its token is old
    assert all(isinstance(one, Accepted) for one in post.send_together(20))
    assert runs(tmp_path) == 1
    clock.now += 300.0
    assert all(isinstance(one, Accepted) for one in post.send_together(20))
    assert runs(tmp_path) == 2


def test_a_kept_token_that_is_refused_is_replaced_at_once_and_costs_no_try(
    posting: Posting, sink_with: Sinks, ca: dict[str, Any], tmp_path: Path
) -> None:
    # Given a command whose first token has expired when the second connection is opened
    sink = sink_with("XOAUTH2", secret=NEW)
    counted = f"print({NEW!r} if pathlib.Path({str(tmp_path / 'runs')!r}).stat().st_size != 2 else {OLD!r})"
    tokens = command(tmp_path, counted)
    post = posting(url(sink, "user"), tokens=tokens, mails_per_connection=1, **ca)
    assert isinstance(post.send(), Accepted)
    tokens.refused(NEW)
    post.engine.run(tokens.token, timeout=30)

    # When a mail is sent, Then it leaves with the first try
    assert isinstance(post.send(), Accepted)
    assert runs(tmp_path) == 3


def test_a_new_token_that_is_refused_is_not_tried_again_before_the_cool_down(
    posting: Posting, sink_with: Sinks, ca: dict[str, Any], tmp_path: Path
) -> None:
    sink = sink_with("XOAUTH2", secret=NEW)
    post = posting(url(sink, "user"), tokens=command(tmp_path, f"print({OLD!r})"), **ca)
    assert isinstance(post.send(), Rejected)
    assert isinstance(post.send(), Paused)
    assert (runs(tmp_path), sink.counters.commands["AUTH"]) == (1, 1)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("sys.exit(3)", "status 3"),
        ("sys.exit(print('a secret', file=sys.stderr))", "no token"),
        ("print('x' * 100_000)", "more than"),
        ("time.sleep(60)", "longer than"),
    ],
)
def test_a_command_that_gives_no_token_says_why_and_ends(
    posting: Posting,
    sink_with: Sinks,
    ca: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    why: str,
) -> None:
    monkeypatch.setattr("notifier.engine.tokens.COMMAND_TIMEOUT_S", 5.0)
    ended = posting(url(sink_with("XOAUTH2"), "user"), tokens=command(tmp_path, script), **ca).send()
    assert isinstance(ended, Rejected)
    assert why in ended.text
    assert "secret" not in ended.text


def test_a_command_that_is_not_there_says_so(posting: Posting, sink_with: Sinks, ca: dict[str, Any]) -> None:
    tokens = CommandToken(["/no/such/command"], {}, seconds=1, clock=Clock())
    ended = posting(url(sink_with("XOAUTH2"), "user"), tokens=tokens, **ca).send()
    assert isinstance(ended, Rejected)
    assert "/no/such/command" in ended.text


USER = "smtp://user%40example.org@relay.test"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, type(None)),
        ({"NOTIFIER_SMTP_TOKEN_FILE": "/run/token"}, FileToken),
        ({"NOTIFIER_SMTP_TOKEN_COMMAND": "az account get-access-token -o tsv"}, CommandToken),
    ],
)
def test_where_tokens_come_from_is_a_setting(given: dict[str, str], expected: type) -> None:
    assert isinstance(build_tokens(read_settings({"NOTIFIER_SMTP_URL": USER, **given})), expected)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"NOTIFIER_SMTP_TOKEN_FILE": "/a", "NOTIFIER_SMTP_TOKEN_COMMAND": "b"}, "NOTIFIER_SMTP_TOKEN_FILE"),
        (
            {"NOTIFIER_SMTP_TOKEN_FILE": "/a", "NOTIFIER_SMTP_URL": "smtp://user:password@relay.test"},
            "without a password",
        ),
        ({"NOTIFIER_SMTP_TOKEN_FILE": "/a", "NOTIFIER_SMTP_URL": "smtp://relay.test"}, "without a password"),
        ({"NOTIFIER_SMTP_TOKEN_COMMAND": "print 'token"}, "NOTIFIER_SMTP_TOKEN_COMMAND"),
    ],
)
def test_tokens_that_nobody_could_use_are_told_at_start(given: dict[str, str], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        build_tokens(read_settings({"NOTIFIER_SMTP_URL": USER, **given}))
