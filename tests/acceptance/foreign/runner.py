"""Foreign clients as functions: publish with them, verify with them, and believe what they say."""

import base64
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.servers.http import Request
from tests.servers.npm import installed, node
from tests.servers.processes import ServerMissing, find_binary

HERE = Path(__file__).parent / "npm"
EXCHANGE = "notifier.events"
#: Seconds; a run publishes thousands of events.
RUN_TIMEOUT = 120

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
    with _missing_skips():
        publish = find_binary("amqp-publish", install="apt-get install amqp-tools")
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


def packages() -> Path:
    """The folder with the JavaScript packages and our scripts."""
    with _missing_skips():
        return installed(HERE)


@contextmanager
def _missing_skips() -> Iterator[None]:
    """As for servers: a laptop without a program skips the test, CI must not."""
    try:
        yield
    except ServerMissing as missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(missing))


def _node(script: str, *arguments: str, input_: str) -> str:
    with _missing_skips():
        program = node()
    return _run([program, str(packages() / script), *arguments], input_=input_)


def _run(command: Sequence[str], *, input_: str = "") -> str:
    done = subprocess.run(
        command, input=input_, timeout=RUN_TIMEOUT, capture_output=True, text=True, encoding="utf-8", check=False
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
