"""Everything a stranger, a mistake or an attacker can hand in: a clear reason, and nothing else is disturbed."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from notifier.domain.delivery import Status
from notifier.domain.ids import event_key
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked
from notifier.storage.parked import ParkedFilter
from tests.acceptance.place import SOURCE, STRUCTURED, Place, hook_folder, mail_folder, metric, place, post_event
from tests.acceptance.service import Process, ask
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

LOOP = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
#: What templates must not do → the template; each is refused when it is rendered, or was refused at the load.
HOSTILE = {
    "loops": LOOP,
    "loops in a macro": "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(1) }}",
    "allocates": "{{ 'a' * 10 ** 9 }}",
    "allocates by width": "{{ '%1000000000s' % 'a' }}",
    "doubles": "{% set a = 'aaaaaaaa' %}" + "{% set a = a ~ a %}" * 30 + "{{ a }}",
    "divides by zero": "{{ 1 // (data.zero) }}",
    "has an undefined name": "{{ data.nobody }}",
    "reaches for classes": "{{ data['__class__'] }}",
    "reaches for the interpreter": "{{ (data | string).__class__.__mro__ }}",
}
FOLDERS = {
    "bad.good": mail_folder("bad.good"),
    "bad.mail": mail_folder("bad.mail", text="Hello", **{"schema.json": '{"required": ["to"]}'}),
    "bad.hook": hook_folder("bad.hook"),
}
MEGABYTE = 1024 * 1024


@dataclass
class Running:
    """The service with templates that are hostile as far as the loader lets them in."""

    at: Place
    consumer: Process
    worker: Process
    api: Process


def hostile_folder(name: str) -> str:
    return "hostile." + name.replace(" ", "-")


@pytest.fixture(scope="module")
def running(
    rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    quick = {"NOTIFIER_WEBHOOK_TIMEOUT": "2", "NOTIFIER_EMAIL_RETRY": "1", "NOTIFIER_WEBHOOK_RETRY": "1"}
    hostile = {hostile_folder(name): mail_folder(hostile_folder(name), text=text) for name, text in HOSTILE.items()}
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("bad"), FOLDERS | hostile, **quick) as at:
        yield Running(at, at.service.consumer(), at.service.worker("-n", "one@%h"), at.service.api())


@pytest.fixture(autouse=True)
def nothing_else_is_disturbed(running: Running) -> Iterator[None]:
    """After every case a good mail gets through at once, and every process is the one that was started."""
    yield
    at = running.at
    event = at.publish("bad.good", {"to": "good@example.org"})
    at.until(at.delivery(event, "bad.good/mail", "mailto:good@example.org"), Status.SENT)
    assert [process.popen.poll() for process in (running.consumer, running.worker, running.api)] == [None] * 3


def newest(at: Place, queue: str, change: Callable[[], None]) -> Parked:
    """What was parked because of ``change``."""
    wanted = ParkedFilter(queue=queue)
    before = at.index.ids(wanted).keys()
    change()
    poll(lambda: at.index.ids(wanted).keys() - before, f"something new is in {queue}")
    (identity,) = at.index.ids(wanted).keys() - before
    return at.until_parked(identity)


def cloud_event(**fields: Any) -> bytes:
    event = {"specversion": "1.0", "id": uuid4().hex, "source": SOURCE, "type": "bad.mail"}
    return json.dumps({**event, "data": {"to": "x@example.org"}, **fields}).encode()


DEEP = b'{"specversion":"1.0","id":"1","source":"/t","type":"bad.mail","data":' + b"[" * 50_000 + b"]" * 50_000 + b"}"


@pytest.mark.parametrize(
    ("what", "body", "content_type", "headers", "cause"),
    [
        ("nothing", b"", None, {}, Cause.MALFORMED),
        ("not JSON", b"{not json", STRUCTURED, {}, Cause.MALFORMED),
        ("not UTF-8", b'{"a": "\xff"}', STRUCTURED, {}, Cause.MALFORMED),
        ("JSON, but no CloudEvent", b'{"order": 1}', "application/json", {}, Cause.MALFORMED),
        ("a number", b"1e999", STRUCTURED, {}, Cause.MALFORMED),
        ("no source", b'{"specversion": "1.0", "id": "1", "type": "x"}', STRUCTURED, {}, Cause.MALFORMED),
        ("a later specification", cloud_event(specversion="2.0"), STRUCTURED, {}, Cause.MALFORMED),
        ("a time that is none", cloud_event(time="yesterday"), STRUCTURED, {}, Cause.MALFORMED),
        ("two kinds of data", cloud_event(data_base64="AA=="), STRUCTURED, {}, Cause.MALFORMED),
        ("binary mode without an id", b"{}", "application/json", {"cloudEvents:type": "bad.mail"}, Cause.MALFORMED),
        ("header of bytes", b"{ }", "application/json", {"cloudEvents:type": b"\xff\xfe"}, Cause.MALFORMED),
        ("deep nesting", DEEP, STRUCTURED, {}, Cause.MALFORMED),
        ("300 kB", cloud_event(data={"to": "x@example.org", "x": "x" * 300_000}), STRUCTURED, {}, Cause.TOO_LARGE),
        ("wrong schema", cloud_event(data={"nobody": 1}), STRUCTURED, {}, Cause.SCHEMA),
        ("recipient missing", cloud_event(data={"to": {"name": "Ann"}}), STRUCTURED, {}, Cause.PLANNING),
        ("recipient a number", cloud_event(data={"to": [True]}), STRUCTURED, {}, Cause.PLANNING),
    ],
)
def test_a_bad_event_is_parked_with_the_reason(
    running: Running, what: str, body: bytes, content_type: str, headers: dict[str, Any], cause: Cause
) -> None:
    # When something that is no good event is published
    entry = newest(
        running.at,
        "failed-intake",
        lambda: running.at.publish_raw("notifier.events", "any", body, content_type, headers=headers),
    )

    # Then it is parked, and an operator can read why
    assert entry.cause is cause, (what, entry)
    assert entry.reason
    assert "Traceback" not in entry.reason


def test_an_event_of_10_mb_is_parked_and_costs_no_memory_that_stays(running: Running) -> None:
    # Given what the consumer uses
    at, before = running.at, peak_memory(running.consumer)

    # When an event of 10 MB comes
    def change() -> None:
        body = cloud_event(data={"to": "x@example.org", "x": "x" * 10 * MEGABYTE})
        at.publish_raw("notifier.events", "any", body, STRUCTURED)

    entry = newest(at, "failed-intake", change)

    # Then it is in failed-intake as too large
    assert entry.cause is Cause.TOO_LARGE
    # And the consumer grew by a few times that size at most
    assert peak_memory(running.consumer) - before < 100 * MEGABYTE
    # And a reindex finds the same entry again
    at.failures("reindex")
    assert at.until_parked(entry.id).cause is Cause.TOO_LARGE


def test_an_unknown_type_is_counted_and_forgotten(running: Running) -> None:
    before = metric(running.consumer, "notifier_events_unmatched_total")
    event = running.at.publish("never.heard.of", {"a": 1})

    poll(lambda: metric(running.consumer, "notifier_events_unmatched_total") == before + 1, "it is counted")
    assert running.at.parked(event_key(SOURCE, event)) is None


@pytest.mark.parametrize(
    "address",
    [
        "no at sign@",
        "@example.org",
        "a@b@example.org",
        "a b@example.org",
        "a@example..org",
        "evil@example.org\nDATA",
        "a@" + "x" * 300,
        "a@exam\x00ple.org",
    ],
)
def test_an_address_that_is_none_is_refused_by_itself(running: Running, address: str) -> None:
    # When an event names a bad address beside a good one
    at = running.at
    entry = newest(at, "failed-email", lambda: at.publish("bad.mail", {"to": [address, "fine@example.org"]}))

    # Then that delivery is parked, and its neighbour's mail has no more recipients and headers than it should
    assert entry.cause is Cause.BAD_DESTINATION
    poll(lambda: at.mails_to("fine@example.org"), "the neighbour's mail")
    for mail in at.smtp.mails:
        assert len(mail.recipients) == 1
        # Not anywhere: a Message-ID is random enough to contain these letters.
        assert b"\nbcc:" not in mail.data.lower()


@pytest.mark.parametrize(
    "text", ["evil@example.org\r\nBcc: all@example.org", "evil@example.org>\r\nRCPT TO:<other@example.org"]
)
def test_a_text_that_is_read_as_addresses_and_is_none_is_told_when_it_is_planned(running: Running, text: str) -> None:
    # When an event names a text with line ends, which looks like more than one address, beside a good one
    at = running.at
    entry = newest(at, "failed-intake", lambda: at.publish("bad.mail", {"to": [text, "fine@example.org"]}))

    # Then it is parked with the reason, and its neighbour's mail has no more recipients and headers than it should
    assert (entry.cause, "line end" in entry.reason) == (Cause.PLANNING, True)
    poll(lambda: at.mails_to("fine@example.org"), "the neighbour's mail")
    for mail in at.smtp.mails:
        assert len(mail.recipients) == 1
        assert b"\nbcc:" not in mail.data.lower()


def test_100_000_addresses_in_one_event_are_more_than_is_taken_in(running: Running) -> None:
    body = cloud_event(data={"to": [f"person{n}@example.org" for n in range(100_000)]})

    entry = newest(
        running.at, "failed-intake", lambda: running.at.publish_raw("notifier.events", "any", body, STRUCTURED)
    )

    assert entry.cause is Cause.TOO_LARGE


def test_the_largest_fan_out_one_event_can_name_is_delivered_in_bounded_memory(running: Running) -> None:
    # Given an event of about 250 kB that is all addresses
    at, count = running.at, 15_000
    consumer, worker = peak_memory(running.consumer), peak_memory(running.worker)
    event = at.publish("bad.mail", {"to": [f"p{n}@e.org" for n in range(count)]})

    # When all of them have their mail
    poll(lambda: sum(m.recipients[0].endswith("@e.org") for m in at.smtp.mails) >= count, "everybody has it")

    # Then nothing was parked, and neither process grew by more than a bound that does not depend on the number
    assert at.parked(event_key(SOURCE, event)) is None
    assert peak_memory(running.consumer) - consumer < 150 * MEGABYTE
    assert peak_memory(running.worker) - worker < 150 * MEGABYTE


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_fails_its_own_delivery_with_a_reason(running: Running, name: str) -> None:
    # When an event needs a template that does what it must not
    at, event = running.at, ""

    def change() -> None:
        at.publish(hostile_folder(name), {"to": "x@example.org", "zero": 0})

    entry = newest(at, "failed-email", change)

    # Then that delivery is parked and the reason names the file
    assert entry.cause is Cause.RENDER_FAILED, event
    assert "email.text.j2" in entry.reason


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://2851995396/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://0.0.0.0/",
        "ftp://example.org/",
        "http://user:password@169.254.169.254/",
    ],
)
def test_an_endpoint_inside_is_refused_when_it_is_registered_and_when_it_is_sent_to(running: Running, url: str) -> None:
    # When somebody registers it, over HTTP
    status, answer = ask(running.api.health_port, "/v1/endpoints", method="POST", body={"tenant": "evil", "url": url})

    # Then the answer is a clear no
    assert status == 422, answer
    # And one that came in another way is never connected to
    at, tenant = running.at, "evil-" + base64.b32encode(url.encode()).decode().strip("=").lower()[:40]
    endpoint = at.endpoints.add(tenant, url).id
    entry = newest(at, "failed-webhook", lambda: at.publish("bad.hook", {"a": 1}, tenant=tenant))
    assert entry.cause is Cause.BAD_DESTINATION
    record = at.until(entry.id, Status.REFUSED)
    assert record.destination == endpoint


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", STRUCTURED),
        (b"[]", STRUCTURED),
        (DEEP, STRUCTURED),
        (b"x" * 10 * MEGABYTE, STRUCTURED),
        (b"{}", "text/plain"),
        (cloud_event(data={"nobody": 1}), STRUCTURED),
    ],
)
def test_the_api_refuses_bad_events_with_a_problem(running: Running, body: bytes, content_type: str) -> None:
    status, problem = post_event(running.api, body, content_type)

    assert 400 <= status < 500
    assert problem["title"]


def peak_memory(process: Process) -> int:
    """Bytes of resident memory at its highest (VmHWM); the process itself or the child the command became."""
    lines = Path(f"/proc/{process.popen.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize("tenant", ["version", "versions", "breakers"])
def test_a_tenant_may_be_called_like_a_key_of_ours(running: Running, tenant: str) -> None:
    # Given an endpoint of a tenant whose name is what a key of the endpoints is called
    at = running.at
    at.endpoints.add("acme", at.http.url)
    endpoint = at.endpoints.add(tenant, at.http.url).id

    # When an event of it comes
    event = at.publish("bad.hook", {}, tenant=tenant)

    # Then it is planned like any other
    at.until(at.delivery(event, "bad.hook/hook", f"endpoint:{endpoint}"), Status.SENT)
