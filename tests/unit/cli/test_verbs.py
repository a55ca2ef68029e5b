"""Verbs that need no server: config, docs, version, templates, explain, topology show, and every --help."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from notifier import __version__
from notifier.cli.application import application
from notifier.cli.choosing import Choice
from notifier.cli.reference import pages
from notifier.client import Receipt
from notifier.domain.topology import QUEUES
from notifier.process import settings
from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.unit.channels.email.test_channel import PEM

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "templates"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("NOTIFIER_"):
            monkeypatch.delenv(name)
    settings.cache_clear()
    yield
    settings.cache_clear()


def _run(*arguments: str, stdin: str = "", **environment: str) -> Any:
    settings.cache_clear()
    return CliRunner().invoke(application, list(arguments), input=stdin, env=environment)


def _verbs(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _verbs(child, (*path, name))


ALL_VERBS = list(_verbs(typer.main.get_command(application)))


@pytest.mark.parametrize("path", [path for path, _ in ALL_VERBS])
def test_every_verb_has_help(path: tuple[str, ...]) -> None:
    done = _run(*path, "--help")

    assert done.exit_code == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize("path", [path for path, command in ALL_VERBS if not hasattr(command, "commands")])
def test_every_verb_has_an_example_that_names_it_and_all_options_are_explained(path: tuple[str, ...]) -> None:
    command = dict(ALL_VERBS)[path]

    assert f"notifier {' '.join(path)}" in command.help.partition("Example:")[2]
    assert all(getattr(parameter, "help", None) or parameter.name == "identity" for parameter in command.params)


def test_help_answers_at_once_because_nothing_heavy_is_imported() -> None:
    # Not a timing: what makes it slow is what it imports.
    code = (
        "import sys; from notifier.cli.application import application; "
        "heavy = {'celery', 'fastapi', 'redis', 'jinja2', 'gevent', 'pydantic', 'pika', 'rich'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_where_what_it_needs_is_missing_the_person_is_told_what_to_install(tmp_path: Path) -> None:
    # Given an interpreter that finds no typer
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')\n")

    done = subprocess.run(
        [sys.executable, "-m", "notifier.cli", "config"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert done.returncode == 2
    assert "pip install notifier-events" in done.stderr
    assert "Traceback" not in done.stderr


def test_version_is_printed_by_the_verb_and_by_the_option() -> None:
    assert _run("version").stdout == _run("--version").stdout == f"{__version__}\n"


def test_an_unknown_verb_or_option_is_a_mistake_of_usage() -> None:
    assert _run("frobnicate").exit_code == 2
    assert _run("config", "--frobnicate").exit_code == 2


def test_config_masks_secrets_and_says_where_values_come_from(tmp_path: Path) -> None:
    # Given
    secret = tmp_path / "key"
    secret.write_text("k" * 40)

    # When
    done = _run(
        "config",
        "--json",
        NOTIFIER_BROKER_URL="amqp://user:hunter2@broker/",
        NOTIFIER_SECRET_KEY_FILE=str(secret),
    )

    # Then
    assert done.exit_code == 0, done.stderr
    found = {entry["variable"]: entry for entry in json.loads(done.stdout)}
    assert found["NOTIFIER_BROKER_URL"]["value"] == "amqp://****@broker"
    assert found["NOTIFIER_SECRET_KEY"]["origin"] == str(secret)
    assert found["NOTIFIER_GRACE"]["origin"] == "default"
    assert "hunter2" not in done.stdout
    assert "k" * 40 not in done.stdout


def test_config_shows_only_what_was_changed_when_asked() -> None:
    done = _run("config", "--changed", NOTIFIER_GRACE="7")

    assert "NOTIFIER_GRACE" in done.stdout
    assert "NOTIFIER_REDIS_URL" not in done.stdout


def test_wrong_settings_are_all_named_without_a_traceback() -> None:
    done = _run("config", NOTIFIER_GRACE="-1", NOTIFIER_HTTP_PORT="http", NOTIFIER_TYPO="1")

    assert done.exit_code == 2
    assert all(name in done.stderr for name in ("NOTIFIER_GRACE", "NOTIFIER_HTTP_PORT", "NOTIFIER_TYPO"))
    assert "Traceback" not in done.output


@pytest.mark.parametrize("name", ["settings.md", "cli.md", "http-api.md"])
def test_the_reference_pages_are_what_the_code_says(name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")

    assert written == pages(typer.main.get_command(application))[name], (
        f"docs/reference/{name} is out of date; run `notifier config docs`"
    )


def test_docs_are_written_and_checked(tmp_path: Path) -> None:
    assert _run("config", "docs", "--folder", str(tmp_path), "--check").exit_code == 1
    assert list(tmp_path.iterdir()) == []
    assert _run("config", "docs", "--folder", str(tmp_path)).exit_code == 0
    assert _run("config", "docs", "--folder", str(tmp_path), "--check").exit_code == 0


def test_topology_show_names_every_queue() -> None:
    listed = _run("topology", "show").stdout
    described = json.loads(_run("topology", "show", "--json").stdout)

    assert all(queue.name in listed for queue in QUEUES)
    assert {queue.name for queue in QUEUES} <= {queue["name"] for queue in described["queues"]}


def test_in_embedded_mode_the_verbs_that_need_rabbitmq_say_what_to_do_instead() -> None:
    for verb in (("consume",), ("topology", "apply")):
        done = _run(*verb, NOTIFIER_BROKER_URL="redis://127.0.0.1/1")
        assert done.exit_code == 2
        assert "embedded" in done.stderr


def test_the_shops_templates_have_no_mistakes() -> None:
    done = _run("templates", "check", str(TEMPLATES))

    assert (done.exit_code, "no mistakes" in done.stdout) == (0, True), done.output


def test_mistakes_in_templates_are_all_listed(tmp_path: Path) -> None:
    # Given a template that does not compile and a rule that is not one
    folder = tmp_path / "order.placed"
    folder.mkdir()
    (folder / "rules.yaml").write_text(
        "event: order.placed\ncategory: orders\nrules:\n  - id: a\n    channel: pigeon\n"
    )
    (folder / "email.subject.j2").write_text("{{ broken")

    # When
    done = _run("templates", "check", str(tmp_path), "--json")

    # Then
    assert done.exit_code == 1
    assert json.loads(done.stdout)["problems"]


def test_mails_of_samples_are_made_whole_and_what_is_worth_a_word_is_no_mistake(tmp_path: Path) -> None:
    # Given a rule with an attachment, and a sample
    folder = tmp_path / "meeting.invited"
    folder.mkdir()
    rule = "event: meeting.invited\ntransactional: true\nrules:\n  - id: mail\n    channel: email\n    to: data.to\n"
    file = "{name: \"'invite.ics'\", content: data.ics, media_type: \"'text/calendar; method=' ~ data.method\"}"
    (folder / "rules.yaml").write_text(f"{rule}    attachments: [{file}]\n")
    (folder / "email.subject.j2").write_text("Meeting")
    (folder / "email.html.j2").write_text('<img src="cid:logo" alt="Logo" width="120">')
    sample = {"specversion": "1.0", "id": "1", "source": "/calendar", "type": "meeting.invited"}

    # When its data makes a file that can be sent, and when it does not
    results = []
    for method in ("REQUEST", "RE QUEST"):
        data = {"to": "Ada <ada@example.org>", "ics": "QkVHSU4=", "method": method}
        (folder / "sample.json").write_text(json.dumps({**sample, "data": data}))
        results.append(_run("templates", "check", str(tmp_path), "--json"))

    # Then the image that is not there is a warning, and the file that cannot be made a mistake
    good, bad = (json.loads(done.stdout) for done in results)
    assert [done.exit_code for done in results] == [0, 1]
    assert [warning["what"] for warning in good["warnings"]] == [
        "meeting.invited/mail: the HTML shows cid:logo, and no attachment has this cid"
    ]
    assert good["problems"] == []
    assert "attachments[0]: the media type: 'QUEST' is not a parameter" in bad["problems"][0]["what"]
    told = _run("explain", str(folder / "sample.json"), "--no-endpoints", NOTIFIER_TEMPLATES=str(tmp_path))
    assert "'QUEST' is not a parameter" in told.output
    assert told.exit_code == 1, "what no mail could be made of is no success"


def _mailing(root: Path, name: str, more: str = "", to: str = "data.to") -> Path:
    """A folder of one rule by email, with two samples."""
    folder = root / name
    folder.mkdir()
    (folder / "rules.yaml").write_text(
        f"event: {name}\ntransactional: true\nrules:\n  - id: mail\n    channel: email\n    to: {to}\n{more}"
    )
    (folder / "email.subject.j2").write_text("Grüße {{ data.n }}")
    (folder / "email.text.j2").write_text("Hello")
    for number in (1, 2):
        sample = {"specversion": "1.0", "id": "1", "source": "/s", "type": name}
        data = {"to": "Ada <ada@example.org>", "n": number, "ics": "QkVHSU4="}
        (folder / f"sample.{number}.json").write_text(json.dumps({**sample, "data": data}))
    return folder


def test_what_is_said_of_a_sender_is_said_once_for_all_rules_and_samples(tmp_path: Path) -> None:
    # Given two rules with two samples each, whose sender's signature will not count
    for name in ("a.b", "c.d"):
        _mailing(tmp_path, name)
    signing = {
        "NOTIFIER_DKIM_DOMAIN": "example.org",
        "NOTIFIER_DKIM_SELECTOR": "s1",
        "NOTIFIER_DKIM_KEY": PEM,
        "NOTIFIER_EMAIL_FROM": "Shop <shop@other.example>",
    }

    done = _run("templates", "check", str(tmp_path), "--json", **signing)

    (warning,) = json.loads(done.stdout)["warnings"]
    assert warning["what"].startswith("a.b/mail, c.d/mail: mails from other.example are signed for example.org")


WRONG_FOR_MAILS = {
    "NOTIFIER_EMAIL_HOSTNAME": "my host",
    "NOTIFIER_EMAIL_RETURN_PATH": "bounces",
    "NOTIFIER_DKIM_DOMAIN": "example.org",
    "NOTIFIER_DKIM_SELECTOR": "s1",
    "NOTIFIER_DKIM_KEYS": "/nowhere/keys",
}


@pytest.mark.parametrize("verb", ["config", "config --json", "templates check"])
def test_every_mistake_in_what_mails_are_made_with_is_told_by_each_verb_that_looks(verb: str, tmp_path: Path) -> None:
    _mailing(tmp_path, "a.b")

    done = _run(*verb.split(), NOTIFIER_TEMPLATES=str(tmp_path), **WRONG_FOR_MAILS)

    assert done.exit_code == (1 if "check" in verb else 2)
    told = " ".join(done.output.split())
    for name in ("EMAIL_HOSTNAME", "EMAIL_RETURN_PATH", "DKIM_KEY", "DKIM_KEYS"):
        assert f"NOTIFIER_{name}" in told


CHANNEL = """\
url: NOTIFIER_CHANNEL_SMS_URL
to: phone
headers: {X-Kind: "{{ settings.NOTIFIER_CHANNEL_SMS_KIND }}"}
auth: {basic: {user: NOTIFIER_CHANNEL_SMS_USER, password: NOTIFIER_CHANNEL_SMS_TOKEN}}
body: |
  {{ address }}
  {{ settings.NOTIFIER_CHANNEL_SMS_SENDER }}
"""


@pytest.mark.parametrize("verb", ["config", "templates check"])
def test_every_setting_that_a_channel_file_names_and_nobody_set_is_told_with_its_line(
    verb: str, tmp_path: Path
) -> None:
    # Given two channel files, of whose settings one is set, and another that no file names
    _mailing(tmp_path, "a.b")
    (tmp_path / "_channels").mkdir()
    (tmp_path / "_channels" / "sms.yaml").write_text(CHANNEL)
    (tmp_path / "_channels" / "room.yaml").write_text('url: NOTIFIER_CHANNEL_ROOM_URL\njson: {text: "{{ text }}"}\n')
    known = {"NOTIFIER_CHANNEL_SMS_TOKEN": "t0ken-t0ken", "NOTIFIER_CHANNEL_RUM_URL": "https://x.example.com"}

    # When somebody looks
    done = _run(*verb.split(), NOTIFIER_TEMPLATES=str(tmp_path), **known)

    # Then all that are missing are told at once, where they are named, and it is no mistake
    assert done.exit_code == 0, done.output
    root = tmp_path if "check" in verb else tmp_path.name
    told = [line for line in done.stderr.splitlines() if "_CHANNEL_" in line]
    for line, name in (
        ("sms.yaml:1", "SMS_URL"),
        ("sms.yaml:3", "SMS_KIND"),
        ("sms.yaml:4", "SMS_USER"),
        ("sms.yaml:7", "SMS_SENDER"),
        ("room.yaml:1", "ROOM_URL"),
    ):
        where, setting = f"{root}/_channels/{line}", f"NOTIFIER_CHANNEL_{name}"
        assert [one for one in told if f"warning: {where}: {setting} is not set" in one], (where, told)
    assert [one for one in told if "NOTIFIER_CHANNEL_RUM_URL: no channel file names it" in one]
    assert len(told) == 6
    assert "t0ken" not in done.output

    # And also where something else is wrong
    (tmp_path / "a.b" / "email.text.j2").write_text("{{ broken")
    broken = _run(*verb.split(), NOTIFIER_TEMPLATES=str(tmp_path), **known)
    assert broken.stderr.count("is not set") == 5


def test_explain_shows_headers_and_files_of_a_mail(tmp_path: Path) -> None:
    # Given a rule with headers, a copy and a file, to one address and to somebody whose address is looked up
    file = "{name: \"'invite.ics'\", content: data.ics, media_type: \"'text/calendar'\"}"
    more = f"    reply_to: \"'help@example.org'\"\n    headers: {{X-Order: data.n}}\n    attachments: [{file}]\n"
    named = _mailing(tmp_path, "a.b", more)
    looked_up = _mailing(tmp_path, "c.d", to="\"'user-4711'\"")

    done = _run("explain", str(named / "sample.1.json"), "--no-endpoints", NOTIFIER_TEMPLATES=str(tmp_path))
    as_json = _run(
        "explain", str(looked_up / "sample.1.json"), "--no-endpoints", "--json", NOTIFIER_TEMPLATES=str(tmp_path)
    )

    # Then
    assert done.exit_code == 0, done.output
    for line in ("To: Ada <ada@example.org>", "Reply-To: help@example.org", "X-Order: 1", "Subject: Grüße 1"):
        assert f"    {line}\n" in done.stdout
    assert "    File: invite.ics (text/calendar, 5 bytes)\n" in done.stdout
    (delivery,) = json.loads(as_json.stdout)["rules"][0]["deliveries"]
    assert dict(delivery["headers"])["To"] == "(looked up when it is sent)"
    assert delivery["files"] == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = _run("templates", "check", str(tmp_path / "nowhere"))

    assert done.exit_code == 1
    assert "nowhere" in done.stdout


def _samples() -> list[Path]:
    return sorted(TEMPLATES.glob("*/sample*.json"))


@pytest.mark.parametrize("sample", _samples(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_explain_tells_what_each_sample_would_send(sample: Path) -> None:
    arguments = ("explain", str(sample), "--no-endpoints")
    done = _run(*arguments, NOTIFIER_TEMPLATES=str(TEMPLATES))
    as_json = _run(*arguments, "--json", NOTIFIER_TEMPLATES=str(TEMPLATES))

    assert done.exit_code == 0, done.output
    assert "Because" in done.stdout
    assert json.loads(as_json.stdout)["valid"] is True


def _with_sms(root: Path, phone: object) -> Path:
    """A folder with a channel file, a rule and a sample; gives the sample."""
    for name, text in {
        "_channels/sms.yaml": """\
            url: https://a.example/messages
            to: phone
            auth: {basic: {user: NOTIFIER_CHANNEL_SMS_ACCOUNT, password: NOTIFIER_CHANNEL_SMS_TOKEN}}
            form: {To: "{{ address }}", Body: "{{ text }}"}
            """,
        "code.sent/rules.yaml": """\
            event: code.sent
            rules: [{id: sms, channel: sms, to: data.phone, transactional: true}]
            """,
        "code.sent/sms.text.j2": "Your code",
        "code.sent/sample.json": json.dumps(
            {"specversion": "1.0", "id": "1", "source": "/t", "type": "code.sent", "data": {"phone": phone}}
        ),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(dedent(text))
    return root / "code.sent" / "sample.json"


def test_explain_shows_the_request_of_a_channel_file(tmp_path: Path) -> None:
    sample = _with_sms(tmp_path, "+49 170 1234567")

    done = _run("explain", str(sample), "--no-endpoints", NOTIFIER_TEMPLATES=str(tmp_path))

    assert done.exit_code == 0, done.output
    for line in (
        "POST https://a.example/messages",
        "authorization: Basic NOTIFIER_CHANNEL_SMS_ACCOUNT:NOTIFIER_CHANNEL_SMS_TOKEN",
        "To=%2B491701234567&Body=Your+code",
    ):
        assert f"      {line}\n" in done.output


@pytest.mark.parametrize("phone", ["0170 1234567", {"phone": "0170 1234567", "name": "Kim"}])
def test_a_number_that_is_none_is_told_by_check_and_explain(tmp_path: Path, phone: object) -> None:
    sample = _with_sms(tmp_path, phone)

    checked = _run("templates", "check", str(tmp_path), "--json")
    explained = _run("explain", str(sample), "--no-endpoints", NOTIFIER_TEMPLATES=str(tmp_path))

    assert checked.exit_code != 0
    assert any("country code" in one["what"] for one in json.loads(checked.stdout)["problems"])
    assert explained.exit_code != 0
    assert "country code" in explained.stderr


def test_failures_are_chosen_by_the_name_of_a_channel_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_sms(tmp_path, "+491701234567")
    monkeypatch.setenv("NOTIFIER_TEMPLATES", str(tmp_path))

    chosen = Choice(channel="sms").entries()

    assert (chosen.queue, chosen.rules) == ("failed-http_api", ("code.sent/sms",))
    wrong = _run("failures", "list", "--channel", "smss", NOTIFIER_TEMPLATES=str(tmp_path))
    assert wrong.exit_code == 2
    assert "there are intake, email, webhook, http_api, digest, sms" in wrong.stderr


def test_explain_says_why_an_event_would_go_nowhere() -> None:
    event = json.dumps({"specversion": "1.0", "type": "order.shiped", "source": "/t", "id": "1"})

    done = _run("explain", "-", "--no-endpoints", stdin=event, NOTIFIER_TEMPLATES=str(TEMPLATES))

    assert done.exit_code == 1, "what nobody hears of is lost"
    assert "nobody would hear of it (did you mean order.shipped" in done.stderr


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"a": 1}\n{broken', '"text"', "[1]"])
def test_what_is_not_an_event_is_named_by_its_place(text: str, tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_text(text)

    done = _run("explain", str(file), "--no-endpoints", NOTIFIER_TEMPLATES=str(TEMPLATES))

    assert done.exit_code == 1
    assert "events.json" in done.stderr
    assert "Traceback" not in done.output


def test_explain_without_redis_says_how_to_go_without_it() -> None:
    sample = str(TEMPLATES / "order.shipped" / "sample.json")

    done = _run(
        "explain", sample, NOTIFIER_TEMPLATES=str(TEMPLATES), NOTIFIER_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0"
    )

    assert done.exit_code == 3
    assert f"notifier explain --no-endpoints {sample}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_receipt_names_a_verb_that_exists() -> None:
    named = re.findall(r"`notifier ([a-z ]+)`", Receipt.__doc__ or "")

    assert named
    assert all(tuple(name.split()) in dict(ALL_VERBS) for name in named)
