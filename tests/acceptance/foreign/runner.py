"""Foreign clients as functions: publish with them, verify with them, and believe what they say."""

import base64
import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.servers.http import Request
from tests.servers.processes import ServerMissing, find_binary

HERE = Path(__file__).parent
EXCHANGE = "notifier.events"
#: Seconds; an installation downloads 88 small packages once, and a run publishes thousands of events.
INSTALL_TIMEOUT, RUN_TIMEOUT = 300, 120

JavaScriptMode = Literal["structured", "binary:colon", "binary:underscore"]
ShellMode = Literal["structured", "binary"]


class ForeignClientFailed(RuntimeError):
    """A foreign client ended with an error; the message is what it said."""


@dataclass(frozen=True)
class Verification:
    """What the official library says of captured webhooks."""

    ok: int
    failed: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ReadMail:
    """What a reader sees of a mail. A person is (name, address), a file (name, media type, content)."""

    subject: str
    sender: tuple[str, str]
    to: tuple[tuple[str, str], ...]
    message_id: str
    text: str
    html: str
    files: tuple[tuple[str, str, bytes], ...] = ()


def publish_with_javascript(
    url: str, events: Iterable[Mapping[str, Any]], mode: JavaScriptMode = "structured", exchange: str = EXCHANGE
) -> int:
    """Publish events (CloudEvent attributes and `data`) with the JavaScript SDK; how many the broker confirmed.

    Raises `ForeignClientFailed` also when the exchange routes one of them nowhere.
    """
    lines = "".join(json.dumps(event) + "\n" for event in events)
    confirmed: int = json.loads(_node("publish.mjs", url, exchange, mode, input_=lines))["confirmed"]
    return confirmed


def verify_with_javascript(requests: Iterable[Request], secret: str) -> Verification:
    """Verify captured webhooks with the official library for JavaScript."""
    found = json.loads(_node("verify.mjs", secret, input_="".join(_as_line(request) for request in requests)))
    return Verification(found["ok"], found["failed"], tuple(found["reasons"]))


def read_with_javascript(mails: Iterable[bytes]) -> list[ReadMail]:
    """Read mails with the npm package postal-mime."""
    return [_as_mail(found) for found in json.loads(_node("readmail.mjs", input_=_as_lines(mails)))]


def verify_dkim_with_javascript(mails: Iterable[bytes], records: Mapping[str, str]) -> list[list[tuple[str, str, Any]]]:
    """Of each mail, its signatures as npm's mailauth sees them: domain, result, the aligned domain or False."""
    found = json.loads(_node("verifydkim.mjs", json.dumps(records), input_=_as_lines(mails)))
    return [[(domain, result, aligned) for domain, result, aligned in signatures] for signatures in found]


def publish_with_amqp_publish(
    url: str, event: Mapping[str, Any], mode: ShellMode = "structured", exchange: str = EXCHANGE
) -> None:
    """Publish one event with Debian's `amqp-publish`, as a shell script would.

    Its `--header` ends the name at the first colon, so that binary mode can only be spelled ``cloudEvents_…`` with it.
    """
    publish = _binary("amqp-publish", install="apt-get install amqp-tools")
    command = [publish, "--url", url, "--exchange", exchange, "--routing-key", str(event["type"]), "--persistent"]
    if mode == "structured":
        command += ["--content-type", "application/cloudevents+json", "--body", json.dumps(event)]
    else:
        attributes = {name: value for name, value in event.items() if name not in ("data", "datacontenttype")}
        for name, value in attributes.items():
            command += ["--header", f"cloudEvents_{name}: {value}"]
        content_type = str(event.get("datacontenttype", "application/json"))
        command += ["--content-type", content_type, "--body", json.dumps(event["data"])]
    _run(command)


def installed() -> Path:
    """The folder with the JavaScript packages, installed on first use and after a change of the lock.

    Processes that test in parallel install once: the first does, the others wait for it.
    """
    npm = _binary("npm", install="apt-get install npm")
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / ".installed"
    with (HERE / ".installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _run([npm, "ci", "--no-progress"], cwd=HERE, timeout=INSTALL_TIMEOUT)
            stamp.write_text(wanted)
    return HERE


def _binary(*candidates: str, install: str) -> str:
    try:
        return find_binary(*candidates, install=install)
    except ServerMissing as missing:
        # As for servers: a laptop without it skips the test, CI must not.
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(missing))


def _node(script: str, *arguments: str, input_: str) -> str:
    node = _binary("node", "nodejs", install="apt-get install nodejs")
    return _run([node, str(installed() / script), *arguments], input_=input_)


def _run(command: Sequence[str], *, input_: str = "", cwd: Path | None = None, timeout: float = RUN_TIMEOUT) -> str:
    done = subprocess.run(
        command, input=input_, cwd=cwd, timeout=timeout, capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise ForeignClientFailed(f"{Path(command[0]).name} ended with status {done.returncode}:\n{done.stderr}")
    return done.stdout


def _as_line(request: Request) -> str:
    headers = {name.lower(): value for name, value in request.headers}
    return json.dumps({"headers": headers, "body": base64.b64encode(request.body).decode()}) + "\n"


def _as_lines(contents: Iterable[bytes]) -> str:
    return "".join(base64.b64encode(content).decode() + "\n" for content in contents)


def _as_mail(found: Mapping[str, Any]) -> ReadMail:
    name, address = found["sender"]
    return ReadMail(
        found["subject"],
        (name, address),
        tuple((name, address) for name, address in found["to"]),
        found["message_id"],
        found["text"],
        found["html"],
        tuple((name, kind, base64.b64decode(content)) for name, kind, content in found["files"]),
    )
