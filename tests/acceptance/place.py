"""A running service with templates of its own, and what a test asks of it from outside: ledger, queues, metrics."""

import contextlib
import http.client
import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pika

from notifier.domain.delivery import DeliveryRecord, Status
from notifier.domain.ids import delivery_id
from notifier.domain.parked import Parked
from notifier.storage.cipher import Cipher
from notifier.storage.connection import connect
from notifier.storage.endpoints import Endpoints
from notifier.storage.ledger import Ledger
from notifier.storage.parked import ParkedIndex
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from tests.acceptance.service import ADMIN_TOKEN, SECRET_KEY, Process, Service, environment
from tests.servers.http import HttpSink
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.rabbitmq_cluster import RabbitCluster
from tests.servers.redis import RedisServer
from tests.servers.redis_cluster import RedisCluster
from tests.servers.rights import PUBLISHER, as_user
from tests.servers.shelves import with_shelves
from tests.servers.smtp import SmtpSink

STRUCTURED = "application/cloudevents+json"
SOURCE = "/tests"
Files = Mapping[str, Mapping[str, str]]
"""Folder → file name → text."""


def mail_folder(event: str, *, rule: str = "", text: str = "Hello {{ data.to }}\n", **files: str) -> dict[str, str]:
    """A folder whose only rule, `mail`, writes to data.to; ``rule`` adds keys to it."""
    lines = [f"event: {event}", "category: news", "rules:", "  - id: mail", "    channel: email", "    to: data.to"]
    lines += [f"    {line}" for line in rule.splitlines()]
    return {"rules.yaml": "\n".join(lines), "email.subject.j2": "News", "email.text.j2": text, **files}


def hook_folder(event: str) -> dict[str, str]:
    """A folder whose only rule, `hook`, tells every endpoint of the tenant."""
    return {"rules.yaml": f"event: {event}\ncategory: news\nrules:\n  - id: hook\n    channel: webhook\n"}


def write_templates(root: Path, folders: Files) -> Path:
    """The folders as files."""
    for folder, files in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (root / folder / name).write_text(text)
    return root


@dataclass
class Place:
    """The service, its servers, and what they know."""

    service: Service
    broker_url: str
    rabbit: RabbitMQ | RabbitCluster
    kept_in: RedisServer | RedisCluster
    smtp: SmtpSink
    http: HttpSink
    templates: Path
    store: Store

    @property
    def redis(self) -> RedisServer:
        """The one server, for who stops or breaks it."""
        assert isinstance(self.kept_in, RedisServer)
        return self.kept_in

    @property
    def publisher_url(self) -> str:
        """What other services are given: they may publish events and nothing else."""
        return as_user(self.broker_url, PUBLISHER)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store)

    @property
    def index(self) -> ParkedIndex:
        return ParkedIndex(self.store)

    @property
    def suppressions(self) -> Suppressions:
        return Suppressions(self.store)

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(self.store, Cipher(SECRET_KEY))

    def publish(self, event_type: str, data: Any, *, event_id: str = "", **attributes: Any) -> str:
        """One event, structured; returns its id."""
        identity = event_id or uuid4().hex
        event = {"specversion": "1.0", "id": identity, "source": SOURCE, "type": event_type, "data": data}
        self.publish_raw("notifier.events", event_type, json.dumps({**event, **attributes}).encode(), STRUCTURED)
        return identity

    def publish_raw(
        self,
        exchange: str,
        key: str,
        body: bytes,
        content_type: str | None = None,
        *,
        headers: dict[str, Any] | None = None,
        encoding: str | None = None,
    ) -> None:
        """Any bytes, confirmed."""
        # Nothing but events is published by others; what a test puts elsewhere stands for what we did ourselves.
        url = self.publisher_url if exchange in ("notifier.events", "notifier.urgent") else self.broker_url
        connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = connection.channel()
        channel.confirm_delivery()
        properties = pika.BasicProperties(
            content_type=content_type, headers=headers, content_encoding=encoding, delivery_mode=2
        )
        channel.basic_publish(exchange, key, body, properties, mandatory=True)
        connection.close()

    def delivery(self, event_id: str, rule: str, identity: str) -> str:
        """The id of a delivery; ids are deterministic."""
        return delivery_id(SOURCE, event_id, rule, identity)

    def record(self, delivery: str) -> DeliveryRecord | None:
        """What the ledger knows."""
        return self.ledger.deliveries([delivery])[0]

    def until(self, delivery: str, *wanted: Status, timeout: float = PATIENCE_S) -> DeliveryRecord:
        """Wait for a status; returns the record."""
        seen: list[DeliveryRecord | None] = [None]

        def reached() -> bool:
            seen[0] = self.record(delivery)
            return seen[0] is not None and seen[0].status in wanted

        try:
            poll(reached, f"{delivery} is {'/'.join(wanted)}", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; the ledger says {seen[0]}") from None
        assert seen[0] is not None
        return seen[0]

    def parked(self, identity: str) -> Parked | None:
        """The entry operators see."""
        return self.index.get(identity)

    def until_parked(self, identity: str, timeout: float = PATIENCE_S) -> Parked:
        """Wait for the entry operators see; it is written after the ledger."""
        poll(lambda: self.parked(identity) is not None, f"{identity} is parked", timeout)
        found = self.parked(identity)
        assert found is not None
        return found

    def depths(self) -> dict[str, int]:
        """Messages in each queue, with its shelves."""
        return with_shelves(self.rabbit.queue_depths(self.broker_url))

    def until_quiet(self, timeout: float = PATIENCE_S) -> None:
        """Wait until no queue but the failure queues holds anything."""
        poll(lambda: not any(n for q, n in self.depths().items() if not q.startswith("failed-")), "quiet", timeout)

    def mails_to(self, address: str) -> list[bytes]:
        """Contents of the mails one address got."""
        return [mail.data for mail in self.smtp.mails if address in mail.recipients]

    def failures(self, *arguments: str) -> Any:
        """`notifier failures …`, as an operator runs it."""
        ran = self.service.run("failures", *arguments)
        assert ran.returncode == 0, ran.stderr + ran.stdout
        return json.loads(ran.stdout) if "--json" in arguments else ran.stdout


def metric(process: Process, name: str) -> float:
    """The sum of a metric's samples on the page of a process."""
    with urllib.request.urlopen(f"http://127.0.0.1:{process.health_port}/metrics", timeout=PATIENCE_S) as page:
        text = page.read().decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE))


def post_event(api: Process, body: bytes, content_type: str = STRUCTURED) -> tuple[int, Any]:
    """POST /v1/events with any bytes: (status, JSON)."""
    connection = http.client.HTTPConnection("127.0.0.1", api.health_port, timeout=PATIENCE_S)
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": content_type}
    # It may answer without reading on, which is what a large body deserves.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.request("POST", "/v1/events", body, headers)
    answer = connection.getresponse()
    read = json.loads(answer.read())
    connection.close()
    return answer.status, read


def message_id(mail: bytes) -> str:
    """The Message-ID header."""
    found = re.search(rb"^Message-ID: *(\S+)", mail, re.IGNORECASE | re.MULTILINE)
    assert found, mail[:500]
    return found[1].decode()


@contextmanager
def place(
    rabbit: RabbitMQ | RabbitCluster,
    redis: RedisServer | RedisCluster,
    directory: Path,
    folders: Files,
    *,
    relays: str = "",
    **variables: str,
) -> Iterator[Place]:
    """Servers that belong to this place alone, the topology applied, no role started yet."""
    redis.flush()
    broker_url = rabbit.new_vhost()
    smtp, http = SmtpSink(), HttpSink()
    templates = write_templates(directory / "templates", folders)
    url = relays or f"smtp+plain://127.0.0.1:{smtp.port}"
    service = Service(
        directory,
        environment(broker_url=broker_url, redis_url=redis.url, smtp_url=url, templates=templates, **variables),
    )
    store = connect(redis.url)
    try:
        service.declare()
        yield Place(service, broker_url, rabbit, redis, smtp, http, templates, store)
    finally:
        service.close()
        store.close()
        smtp.close()
        http.close()
        rabbit.delete_vhost(broker_url)
