"""Whole workers before a real Postfix: what becomes of password mails while others are refused or deferred."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from notifier.storage.connection import connect
from tests.acceptance.place import Place, mail_folder, write_templates
from tests.acceptance.service import environment
from tests.bench.bars import percentile
from tests.matrix.builds import Build, Roles
from tests.matrix.scenarios import Row
from tests.servers.http import HttpSink
from tests.servers.mail.options import Options, Refusal
from tests.servers.mail.postfix import Postfix
from tests.servers.mail.server import MailServer
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

REFUSED, PASSWORDS, EVERY_S, SOON_S = 200, 78, 0.5, 1.0
FOLDERS = {
    "order.many": mail_folder("order.many", text="Hello\n"),
    "partner.many": mail_folder("partner.many", rule="from: bad@other.example", text="Hello\n"),
    "content.many": {**mail_folder("content.many", text="Hello\n"), "email.subject.j2": "unwanted"},
    "password.reset": mail_folder("password.reset", rule="priority: high", text="Hello\n"),
}
#: What is refused, and the event whose mails meet it.
REFUSALS = (
    (Refusal("rcpt", "554 5.7.1 Recipient address rejected: Access denied", "no"), "order.many"),
    (Refusal("dot", "550 5.7.1 Message content rejected", "unwanted"), "content.many"),
    (
        Refusal("mail", "550 5.7.60 Client does not have permissions to send as this sender", "bad@other"),
        "partner.many",
    ),
)
GREYLIST = Refusal("rcpt", "451 4.7.1 Try again later", "grey")
GREYLIST_RATIO = 1.5
#: A build that learned one mail in four seconds from it takes minutes.
LONGEST_S = 600.0


@dataclass(frozen=True)
class Servers:
    """What all of it runs on."""

    rabbit: RabbitMQ
    redis: RedisServer


def run(build: Build) -> Iterator[Row]:
    """All of it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("rabbit", "redis"):
            (folder / name).mkdir()
        servers = Servers(RabbitMQ(folder / "rabbit"), RedisServer(folder / "redis"))
        stack.callback(servers.rabbit.close)
        stack.callback(servers.redis.close)
        for refusal, event in REFUSALS:
            yield _passwords_among_refusals(build, servers, refusal, event)
        yield _after_a_greylisting(build, servers)


@contextmanager
def _place(build: Build, servers: Servers, server: MailServer) -> Iterator[Place]:
    servers.redis.flush()
    broker_url = servers.rabbit.new_vhost()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        templates = write_templates(Path(folder) / "templates", FOLDERS)
        variables = environment(
            broker_url=broker_url, redis_url=servers.redis.url, smtp_url=server.url, templates=templates,
            NOTIFIER_EMAIL_FROM="Shop <shop@example.org>", NOTIFIER_EMAIL_HOSTNAME="worker.example.org",
        )  # fmt: skip
        roles = Roles(Path(folder), variables, build=build)
        stack.callback(servers.rabbit.delete_vhost, broker_url)
        stack.callback(roles.close)
        roles.applied()
        http = stack.enter_context(_closing(HttpSink()))
        store = stack.enter_context(_closing(connect(servers.redis.url)))
        roles.consumer()
        roles.worker("-n", "one@%h")
        yield Place(roles, broker_url, servers.rabbit, servers.redis, server.sink, http, templates, store)


@contextmanager
def _closing(thing):  # type: ignore[no-untyped-def]
    try:
        yield thing
    finally:
        thing.close()


def _passwords_among_refusals(build: Build, servers: Servers, refusal: Refusal, event: str) -> Row:
    """A password mail every half second, from the moment that 200 refused mails are published."""
    server = Postfix(Options(refusals=(refusal,)))
    try:
        with _place(build, servers, server) as at:
            at.publish("password.reset", {"to": "first@example.net"})
            server.sink.wait_for(1)
            at.publish(event, {"to": [f"no{number}@example.net" for number in range(REFUSED)]})
            published = _passwords(at, "pw")
            time.sleep(2 * SOON_S)
            came = {mail.recipients[0]: mail.received_at for mail in server.sink.mails}
            seconds = [came[to] - at_ for to, at_ in published.items() if to in came]
            twice = len(server.sink.mails) - len(came)
    finally:
        server.close()
    p99 = percentile(sorted(seconds), 99) if seconds else float("inf")
    return Row(
        server.name, server.version, f"{REFUSED} refused: {refusal.code} {refusal.enhanced} at {refusal.phase}",
        build.name, PASSWORDS,
        len(seconds), twice, 0, round(p99, 2), f"password mails; p99 {p99:.2f} s of those that came",
        met=len(seconds) == PASSWORDS and p99 <= SOON_S and not twice,
    )  # fmt: skip


def _passwords(at: Place, name: str) -> dict[str, float]:
    published: dict[str, float] = {}
    begun = time.monotonic()
    for number in range(PASSWORDS):
        time.sleep(max(0.0, begun + number * EVERY_S - time.monotonic()))
        to = f"{name}{number}@example.net"
        published[to] = time.time()
        at.publish("password.reset", {"to": to})
    return published


def _after_a_greylisting(build: Build, servers: Servers) -> Row:
    """200 mails by a worker that has just begun, and by one that has just been told to try again later."""
    server = Postfix(Options(refusals=(GREYLIST,)))
    try:
        with _place(build, servers, server) as at:
            alone = _many(at, server, "a")
        with _place(build, servers, server) as at:
            grey = at.publish("order.many", {"to": "grey@example.net"})
            delivery = at.delivery(grey, "order.many/mail", "mailto:grey@example.net")
            poll(lambda: (found := at.record(delivery)) is not None and found.tries > 0, "it was greylisted")
            after = _many(at, server, "b")
    finally:
        server.close()
    ratio = after / alone
    return Row(
        server.name, server.version, "200 mails after one 451 4.7.1", build.name, 200, 200, 0, 0, round(after, 2),
        f"without: {alone:.2f} s, × {ratio:.1f}", met=after <= GREYLIST_RATIO * alone,
    )  # fmt: skip


def _many(at: Place, server: MailServer, name: str) -> float:
    before = len(server.sink.mails)
    at.publish("password.reset", {"to": f"first-{name}@example.net"})
    server.sink.wait_for(before + 1)
    before += 1
    at.publish("order.many", {"to": [f"{name}{number}@example.net" for number in range(200)]})
    begun = time.time()
    return max(mail.received_at for mail in server.sink.wait_for(before + 200, LONGEST_S)[before:]) - begun
