"""The running service between programs nobody here wrote: what publishes to it, and what reads what it sends."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import compat32
from email.policy import default as modern
from email.utils import getaddresses
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.event import Event
from notifier.rendering.context import event_context
from notifier.rules.content import Content
from notifier.rules.planner import plan
from tests.acceptance import shop
from tests.acceptance.foreign.runner import (
    ReadMail,
    publish_with_amqp_publish,
    publish_with_javascript,
    read_with_javascript,
    verify_with_javascript,
)
from tests.acceptance.service import ADMIN_TOKEN, Process, Service, ask
from tests.acceptance.test_whole_way import add_endpoint, statuses
from tests.servers.http import HttpSink, Request
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.processes import find_binary
from tests.servers.smtp import SmtpSink
from tests.shop_folders import SHOP
from tests.unit.channels.email.test_mime import as_name

Publish = Callable[[str, list[dict[str, Any]]], None]

PUBLISHERS: dict[str, Publish] = {
    "JavaScript, structured": lambda url, events: _by_javascript(url, events, "structured"),
    "JavaScript, cloudEvents:": lambda url, events: _by_javascript(url, events, "binary:colon"),
    "JavaScript, cloudEvents_": lambda url, events: _by_javascript(url, events, "binary:underscore"),
    "amqp-publish, structured": lambda url, events: _by_shell(url, events, "structured"),
    "amqp-publish, cloudEvents_": lambda url, events: _by_shell(url, events, "binary"),
}

#: Names that need encoding, quoting or both in a header, and long enough to be folded.
NAMES = ["Zoë Müller-Łukasiewicz", '雪 "Yuki" 中村, Inc.', "Ωμέγα 🎿 " * 12 + "end", "Semi;colon <angle@x>"]


def _by_javascript(url: str, events: list[dict[str, Any]], mode: Any) -> None:
    assert publish_with_javascript(url, events, mode) == len(events)


def _by_shell(url: str, events: list[dict[str, Any]], mode: Any) -> None:
    for event in events:
        publish_with_amqp_publish(url, event, mode)


def sample(folder: str, name: str = "sample", **data: Any) -> dict[str, Any]:
    """A sample event of the shop with other data; without the moment at which it stops mattering."""
    event: dict[str, Any] = json.loads((SHOP / folder / f"{name}.json").read_text())
    event.pop("expirytime", None)
    return {**event, "data": {**event["data"], **data}}


def test_what_foreign_programs_publish_in_every_mode_arrives_once(
    service: Service, broker_url: str, smtp_sink: SmtpSink, http_sink: HttpSink
) -> None:
    # Given the service, with a webhook endpoint that wants everything
    endpoint, _ = add_endpoint(service, http_sink)
    service.consumer()
    service.worker()
    events: list[dict[str, Any]] = []

    # When each foreign program publishes events of its own, in its own way
    for seed, publish in enumerate(PUBLISHERS.values()):
        own = shop.events(8, seed=seed)
        publish(broker_url, own)
        events += own

    # Then every planned delivery arrives once, and is known as sent
    wanted = shop.expected(events, [endpoint])
    smtp_sink.wait_for(len(wanted.mails))
    http_sink.wait_for(len(wanted.webhooks))
    total = len(wanted.mails) + len(wanted.webhooks)
    poll(lambda: statuses(service, wanted.mails | wanted.webhooks) == {"sent": total}, f"{total} deliveries sent")
    assert shop.arrived_mails(smtp_sink) == dict.fromkeys(wanted.mails, 1)
    assert shop.arrived_webhooks(http_sink) == dict.fromkeys(wanted.webhooks, 1)


def genuine(requests: Iterable[Request], secret: str) -> list[bool]:
    """What the official library for Python says of each request."""
    return [_is_genuine(request, secret) for request in requests]


def _is_genuine(request: Request, secret: str) -> bool:
    try:
        Webhook(secret).verify(request.body, {name.lower(): value for name, value in request.headers})
    except WebhookVerificationError:
        return False
    return True


def test_webhooks_are_genuine_to_the_official_libraries_also_while_a_secret_is_rotated(
    service: Service, broker_url: str, http_sink: HttpSink
) -> None:
    # Given an endpoint and its secret
    endpoint, old = add_endpoint(service, http_sink)
    service.consumer()
    service.worker()

    # When events reach it, then its secret is rotated, then more events reach it
    shop.publish(broker_url, [{**sample("order.placed"), "id": f"before-{n}"} for n in range(3)])
    before = http_sink.wait_for(3)
    rotated = service.run("endpoints", "rotate", endpoint, "--json")
    assert rotated.returncode == 0, rotated.stderr
    new = json.loads(rotated.stdout)["secret"]
    shop.publish(broker_url, [{**sample("order.shipped"), "id": f"after-{n}"} for n in range(3)])
    after = http_sink.wait_for(6)[3:]

    # Then the first are genuine by the old secret alone, and the others by both
    assert genuine(before, old) == [True] * 3
    assert genuine(before, new) == [False] * 3
    assert genuine(after, old) == genuine(after, new) == [True] * 3
    assert (verify_with_javascript(before + after, old).ok, verify_with_javascript(before + after, new).ok) == (6, 3)

    # And a body with one more space is genuine to neither library
    tampered = [replace(request, body=request.body.replace(b":", b": ", 1)) for request in after]
    assert genuine(tampered, new) == [False] * 3
    assert verify_with_javascript(tampered, new).reasons == ("No matching signature found",) * 3


def everybodys_mails() -> list[dict[str, Any]]:
    """Events whose mails hold other alphabets in subjects, names, texts and file names."""
    address = {"email": "reader@example.org"}
    content = bytes(range(256)) * 40 + b"\r\n.\r\n"
    invoice = {"number": "№ 7/Ü 雪", "pdf": base64.b64encode(content).decode()}
    events = [sample("order.placed", customer={**address, "name": name}, number=f"Ø-{name[:9]}") for name in NAMES]
    events += [
        sample("account.welcome", user={**address, "name": name, "locale": locale})
        for name in NAMES
        for locale in ("en", "de-AT")
    ]
    events += [sample("invoice.overdue", customer={**address, "name": name}, **invoice) for name in NAMES]
    return [{**event, "id": f"mail-{number}", "source": "/shop"} for number, event in enumerate(events)]


def meant(events: Iterable[Mapping[str, Any]], sender: tuple[str, str]) -> dict[str, ReadMail]:
    """The mails the templates say, by delivery id."""
    content = Content.load(SHOP)
    catalog = content.catalog
    mails = {}
    for event in map(Event.from_attributes, events):
        for planned in plan(event, catalog, shop.NOBODY, 0).planned:
            delivery, rule = planned.delivery, catalog.compiled(planned.rule.id)
            assert rule is not None
            files = [attachment.values(event) for attachment in rule.attachments]
            mails[delivery.id] = _meant(content, event, delivery, rule.rule.template, sender, files)
    return mails


def _meant(
    content: Content, event: Event, delivery: Delivery, folder: str, sender: tuple[str, str], files: list[Any]
) -> ReadMail:
    to = delivery.to
    assert isinstance(to, Mailbox)
    person = {"email": to.address, "name": to.name, "locale": to.locale, "timezone": to.timezone}
    context = event_context(event, recipient=person, delivery_id=delivery.id)
    message = content.renderer.email(folder, context, to.locale)
    return ReadMail(
        message.subject,
        sender,
        # Longer names are cut: Sendmail would write the field anew, and break the signature.
        ((as_name(to.name), to.address),),
        delivery.id,
        _lines(message.text),
        _lines(message.html),
        # A slash in a file's name would be a folder.
        tuple((name.replace("/", "_"), kind, base64.b64decode(file)) for name, kind, file in files),
    )


def _lines(text: str) -> str:
    """Without what line ends and the end of a text may become on the way."""
    return text.replace("\r\n", "\n").rstrip("\n")


def comparable(mail: ReadMail) -> ReadMail:
    """As `meant` writes it."""
    identity = mail.message_id.strip("<>").partition("@")[0]
    return replace(mail, message_id=identity, text=_lines(mail.text), html=_lines(mail.html))


def people(content: bytes, header: str) -> tuple[tuple[str, str], ...]:
    """The (name, address) pairs of a header.

    By the library's older half: the newer one in Python 3.12 leaves a space between two encoded words of a long name.
    """
    found = getaddresses([BytesParser(policy=compat32).parsebytes(content, headersonly=True)[header]])
    return tuple((str(make_header(decode_header(name))), address) for name, address in found)


def read_with_python(content: bytes) -> ReadMail:
    """What the standard library sees."""
    mail = BytesParser(policy=modern).parsebytes(content)
    assert isinstance(mail, EmailMessage)
    assert not mail.defects
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    return ReadMail(
        mail["Subject"],
        people(content, "From")[0],
        people(content, "To"),
        mail["Message-ID"],
        text.get_content(),
        html.get_content(),
        tuple((p.get_filename() or "", p.get_content_type(), p.get_content()) for p in mail.iter_attachments()),
    )


def test_a_foreign_mail_reader_sees_what_the_templates_say(
    service: Service, broker_url: str, smtp_sink: SmtpSink
) -> None:
    # Given the service, whose mails come from somebody with a name that needs encoding
    service.environment["NOTIFIER_EMAIL_FROM"] = "Fernhill & Söhne, Galway <hello@shop.example>"
    service.consumer()
    service.worker()
    events = everybodys_mails()
    wanted = meant(events, ("Fernhill & Söhne, Galway", "hello@shop.example"))

    # When events with all kinds of letters arrive
    publish_with_javascript(broker_url, events)
    contents = [mail.data for mail in smtp_sink.wait_for(len(wanted))]

    # Then a mail reader in JavaScript, the standard library and the templates agree about every word and file
    by_python = {mail.message_id: mail for mail in map(comparable, map(read_with_python, contents))}
    by_javascript = {mail.message_id: mail for mail in map(comparable, read_with_javascript(contents))}
    assert by_python == wanted
    assert by_javascript == wanted


def curl(api: Process, content_type: str, body: str, headers: Mapping[str, str], folder: Path) -> tuple[int, Any]:
    """POST /v1/events with curl: (status, answer)."""
    program = find_binary("curl", install="apt-get install curl")
    answer = folder / "answer.json"
    command = [program, "--silent", "--show-error", "--output", str(answer), "--write-out", "%{http_code}"]
    given = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": content_type, **headers}
    for name, value in given.items():
        command += ["--header", f"{name}: {value}"]
    command += ["--data-binary", "@-", f"http://127.0.0.1:{api.health_port}/v1/events"]
    done = subprocess.run(command, input=body.encode(), capture_output=True, timeout=PATIENCE_S, check=True)
    return int(done.stdout), json.loads(answer.read_bytes())


def is_sent(api: Process, identity: str, source: str) -> bool:
    """Whether the API says that everything the event caused has been sent."""
    status, found = ask(api.health_port, f"/v1/events/{quote(identity, safe='')}?{urlencode({'source': source})}")
    if status == 404:
        return False
    assert status == 200, found
    return bool(found["deliveries"]) and all(delivery["status"] == "sent" for delivery in found["deliveries"])


@pytest.fixture
def api(service: Service) -> Process:
    """The API of a service that has all its parts."""
    service.consumer()
    service.worker()
    return service.api()


def test_what_curl_posts_in_every_mode_is_sent_and_says_so(api: Process, smtp_sink: SmtpSink, tmp_path: Path) -> None:
    # Given one event for each way, with a source and a name that need encoding in headers
    source = "/shop/ünï code?a=1"
    structured, binary, *batch = (
        {**sample("account.welcome", user={"email": f"{way}@example.org", "name": "Zoë"}), "id": way, "source": source}
        for way in ("structured", "binary", "batch-1", "batch-2")
    )

    # When curl posts them
    attributes = {f"ce-{k}": quote(v, safe="/?=") for k, v in binary.items() if k not in ("data", "datacontenttype")}
    answers = [
        curl(api, "application/cloudevents+json; charset=utf-8", json.dumps(structured), {}, tmp_path),
        curl(api, "application/json", json.dumps(binary["data"], ensure_ascii=False), attributes, tmp_path),
        curl(api, "application/cloudevents-batch+json", json.dumps(batch), {}, tmp_path),
    ]

    # Then each is accepted, under the id and source it was given
    assert [status for status, _ in answers] == [202, 202, 202]
    accepted = [(one["id"], one["source"]) for _, answer in answers for one in answer["accepted"]]
    ids = ["structured", "binary", "batch-1", "batch-2"]
    assert accepted == [(identity, source) for identity in ids]

    # And the API says that each was sent, and each has arrived once
    poll(lambda: all(is_sent(api, identity, source) for identity in ids), "all four sent, by the API")
    assert sorted(mail.recipients for mail in smtp_sink.mails) == sorted((f"{i}@example.org",) for i in ids)
