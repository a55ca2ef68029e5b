"""Marked words in every secret and in the data of events, through every error path and view of live processes.

Secrets come out nowhere. Data of events is in queues, in what is sent, and nowhere else: not in a log, a reason, an
answer or a view of Celery.
"""

import base64
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.acceptance.place import SOURCE, Place, hook_folder, mail_folder, place, post_event
from tests.acceptance.service import ADMIN_TOKEN, SECRET_KEY, Process, ask
from tests.servers.certificates import Certificate
from tests.servers.faults import HANG
from tests.servers.patience import poll
from tests.servers.processes import start, stop_group
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.rights import OPERATOR, PASSWORD
from tests.servers.smtp import SmtpSink

SECRET = "kanarienvogel"
DATA = "zaunkoenig"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(f"{SECRET}-of-the-endpoint-32-bytes-long".encode()).decode()
STRICT = json.dumps({"type": "object", "properties": {"mark": {"type": "integer"}, "kind": {"pattern": "^[0-9]+$"}}})
MARKED = {"to": "kim@example.org", "mark": DATA, "kind": DATA, "deep": {"mark": [DATA, {"mark": DATA}]}}
FOLDERS = {
    "a.fine": mail_folder("a.fine"),
    "a.hook": hook_folder("a.hook"),
    "a.undefined": mail_folder("a.undefined", text="{{ data[data.mark] }}\n"),
    "a.sum": mail_folder("a.sum", text="{{ data.mark + 1 }}\n"),
    "a.filter": mail_folder("a.filter", text="{{ data.deep.mark | map(data.mark) | list }}\n"),
    "a.address": mail_folder("a.address").copy()
    | {"rules.yaml": mail_folder("a.address")["rules.yaml"].replace("data.to", "data.mark")},
    "a.when": mail_folder("a.when", rule="when: data.mark > 1"),
    "a.schema": mail_folder("a.schema", **{"schema.json": STRICT}),
}


def private_key() -> str:
    """A DKIM key; its lines are secrets as well."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


@contextmanager
def watching(at: Place, log: Path) -> Iterator[None]:
    """`celery events --dump` while something happens."""
    command = [sys.executable, "-m", "celery", "-A", "notifier", "events", "--dump"]
    process = start(command, log, at.service.as_(OPERATOR))
    poll(lambda: log.exists() and "heartbeat" in log.read_text(errors="replace"), "events of a worker are seen")
    yield
    stop_group(process, signal.SIGKILL)


def publish_everything(at: Place) -> None:
    """Events that go well and wrong in each place, and messages that are none."""
    for folder in FOLDERS:
        at.publish(folder, MARKED, event_id=f"{folder}-1")
    at.publish_raw("notifier.events", "a.fine", f'{{"mark": "{DATA}"'.encode(), "application/cloudevents+json")
    at.publish_raw("notifier.events", "a.fine", f"\xff{DATA}".encode("latin-1"), "application/cloudevents+json")
    at.publish_raw("notifier.events", "a.fine", json.dumps([DATA]).encode(), "application/cloudevents+json")
    broken = {"specversion": "1.0", "id": DATA * 60, "source": SOURCE, "type": "a.fine", "data": DATA, "time": DATA}
    at.publish_raw("notifier.events", "a.fine", json.dumps(broken).encode(), "application/cloudevents+json")
    at.publish_raw("notifier.events", "a.fine", DATA.encode(), "text/plain", headers={"cloudEvents:time": DATA})
    for task in ("notifier.email", "notifier.webhook", "nobody.knows"):
        for body in ([[{"events": [{"data": DATA}]}], {}, {}], {"args": DATA}, [[DATA], {"mark": DATA}, {}]):
            headers = {"task": task, "id": "1", "argsrepr": "(…)", "kwargsrepr": "{}", "lang": "py"}
            at.publish_raw(
                "notifier.tasks", "email-normal", json.dumps(body).encode(), "application/json",
                headers=headers, encoding="utf-8",
            )  # fmt: skip


def of_celery(at: Place) -> Iterator[tuple[str, str]]:
    """Every view that Celery's own tools have."""
    for what in ("active", "reserved", "scheduled", "registered", "report", "stats", "active_queues", "conf"):
        done = at.service.celery("inspect", what, "--json")
        yield f"celery inspect {what}", done.stdout + done.stderr
    done = at.service.celery("report")
    yield "celery report", done.stdout + done.stderr


def of_http(at: Place, api: Process) -> Iterator[tuple[str, str]]:
    """Every page that shows something, and the answers to what is wrong."""
    for path in (
        "/healthz",
        "/readyz",
        "/v1/endpoints",
        "/v1/failures?limit=500",
        "/v1/limits",
        "/openapi.json",
        "/no",
    ):
        yield f"GET {path}", repr(ask(api.health_port, path))
    for folder in FOLDERS:
        yield f"GET {folder}", repr(ask(api.health_port, f"/v1/events/{folder}-1?source={SOURCE}"))
    yield "401", repr(ask(api.health_port, "/v1/limits", token=f"{SECRET}-wrong"))
    yield "403", repr(ask(api.health_port, "/v1/limits", token=f"{SECRET}-publishes"))
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a.schema", "data": MARKED}
    yield "422", repr(post_event(api, json.dumps(event).encode()))
    yield "400", repr(post_event(api, json.dumps({**event, "time": DATA, "id": 5}).encode()))
    yield "400 not JSON", repr(post_event(api, f'{{"mark": {DATA}'.encode()))
    yield "415", repr(post_event(api, DATA.encode(), "text/plain"))
    for body in ({"rate": DATA}, {DATA: DATA}, [DATA]):
        yield f"PUT {body}", repr(ask(api.health_port, "/v1/limits/relay", method="PUT", body=body))
    wrong = {"url": f"https://{SECRET}:{SECRET}@127.0.0.1:1/", "headers": {"Host": SECRET}, "secret": SECRET}
    for key, value in wrong.items():
        body = {"url": "https://example.com/", key: value}
        yield f"POST {key}", repr(ask(api.health_port, "/v1/endpoints", method="POST", body=body))


def of_the_command_line(at: Place, directory: Path) -> Iterator[tuple[str, str]]:
    """Verbs that show things, as text and as JSON, and that fail."""
    event = directory / "event.json"
    event.write_text(json.dumps({"specversion": "1.0", "id": "1", "source": "/s", "type": "a.schema", "data": MARKED}))
    nothing = directory / "nothing.json"
    nothing.write_text(f'{{"mark": {DATA}')
    for verb in (
        ["config"], ["config", "--json"], ["failures", "list"], ["failures", "list", "--json"], ["endpoints", "list"],
        ["endpoints", "list", "--json"], ["limits", "list"], ["relays", "list"], ["templates", "check"],
        ["publish", str(event)], ["publish", str(nothing)], ["explain", str(nothing)], ["show", f"evt_{SECRET}"],
    ):  # fmt: skip
        done = at.service.run(*verb)
        yield " ".join(["notifier", *verb]), done.stdout + done.stderr
    for name, wrong in (
        ("NOTIFIER_BROKER_URL", f"amqp://user:{SECRET}@127.0.0.1:{at.rabbit.port}/"),
        ("NOTIFIER_BROKER_URL", f"amqp://user:{SECRET}@127.0.0.1:1/"),
        ("NOTIFIER_BROKER_URL", f"amqp://user:{SECRET}#/@127.0.0.1:1/"),
        ("NOTIFIER_REDIS_URL", f"redis://user:{SECRET}@127.0.0.1:{at.redis.port}/0"),
        ("NOTIFIER_REDIS_URL", f"redis://user:{SECRET}@127.0.0.1:1/0"),
        ("NOTIFIER_SMTP_URL", f"smtp://user:{SECRET}?@127.0.0.1:1"),
        ("NOTIFIER_API_TOKENS", f"{SECRET}:{SECRET}"),
        ("NOTIFIER_SECRET_KEY", SECRET),
        ("NOTIFIER_DKIM_KEY", SECRET),
        ("CELERY_BROKER_POOL_LIMIT", SECRET),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(at.service, "as_", lambda _, n=name, w=wrong: {**at.service.environment, n: w})
            for verb in (["failures", "list", "--json"], ["topology", "apply"], ["config"]):
                done = at.service.run(*verb)
                yield f"{name} wrong: {' '.join(verb)}", done.stdout + done.stderr


def test_no_secret_and_no_data_comes_out_of_any_view_or_error(
    rabbitmq: RabbitMQ, redis_server: RedisServer, certificate: Certificate, tmp_path: Path
) -> None:
    # Given a service whose every secret is marked, and a relay that hangs in the middle
    key = private_key()
    relay = SmtpSink(certificate=certificate, credentials=("user", SECRET))
    relay.reply("DOT", HANG, matching="", times=1)
    (tmp_path / "p").mkdir()
    with place(
        rabbitmq,
        redis_server,
        tmp_path / "p",
        FOLDERS,
        relays=relay.url,
        NOTIFIER_SMTP_CA_FILE=str(certificate.certificate),
        NOTIFIER_SECRET_KEY=f"{SECRET_KEY} {SECRET * 4}",
        NOTIFIER_API_TOKENS=f"admin:{ADMIN_TOKEN} publish:{SECRET}-publishes",
        NOTIFIER_DKIM_DOMAIN="example.org",
        NOTIFIER_DKIM_SELECTOR="s1",
        NOTIFIER_DKIM_KEY=key,
        NOTIFIER_LOG_LEVEL="debug",
    ) as at:
        shown: list[tuple[str, str]] = []
        at.service.consumer()
        worker, api = at.service.worker("-E"), at.service.api()
        at.service.beat()
        endpoint = {"url": f"{at.http.url}/hook", "secret": WEBHOOK_SECRET, "headers": {"Authorization": SECRET}}
        assert ask(api.health_port, "/v1/endpoints", method="POST", body=endpoint)[0] == 201

        # When everything goes wrong that can
        events = tmp_path / "events.log"
        with watching(at, events):
            publish_everything(at)
            shown += of_celery(at)
            poll(lambda: len(ask(api.health_port, "/v1/failures?limit=500")[1]["entries"]) >= 10, "failures are parked")
        shown += of_http(at, api)
        shown += of_the_command_line(at, tmp_path)
        shown.append(("celery events", events.read_text(errors="replace")))
        shown += [(f"log of {process.role}", process.output()) for process in at.service.processes]

        # Then each view has shown something, and none of it a mark
        assert {name for name, text in shown if not text} <= {"celery inspect scheduled"}
        secrets = [SECRET, WEBHOOK_SECRET[6:], SECRET_KEY, ADMIN_TOKEN, PASSWORD, key.splitlines()[1]]
        found = [(name, mark, around(text, mark)) for name, text in shown for mark in [*secrets, DATA] if mark in text]
        assert found == []
        assert worker.popen.poll() is None
    relay.close()


def around(text: str, mark: str) -> Any:
    """Where it is."""
    at = text.index(mark)
    return text[max(0, at - 150) : at + 80]
