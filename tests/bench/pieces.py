"""``python -m tests.bench.pieces``: CPU of the worker's steps one by one, in microseconds a delivery, batches of 50.

Each step runs in a warm loop, so it is cheaper here than between the others; what a change does to one step shows here
first, on a busy machine too, because the best of many short runs is taken and only this thread's CPU counted.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import uvloop

from notifier.domain.batch import Batch
from notifier.domain.delivery import Attempt, Delivery, EndpointRef, Mailbox, Status
from notifier.domain.endpoint import Endpoint
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id
from notifier.domain.rule import Channel, Priority, Rule
from notifier.engine.relays import SmtpRelays, checked
from notifier.environment import read_settings
from notifier.rendering.context import event_context
from notifier.settings import Settings
from notifier.storage.claims import Claimed, claim_request
from notifier.storage.ledger import Record, Registration
from notifier.wiring.channels import build_email, build_webhook
from notifier.wiring.content import build_content
from notifier.wiring.stores import build_ledger, build_store
from notifier.worker.celery_side.receiving import read_json
from tests.acceptance.service import environment
from tests.bench import workload
from tests.bench.sinks import smtp_sink
from tests.servers.redis import RedisServer

COUNT, RUNS = 50, 30
#: Seconds of a claim; long enough for anything here.
LEASE_S = 600.0


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory(prefix="notifier-pieces-") as directory:
        redis, mails = RedisServer(_made(directory, "redis")), smtp_sink(Path(directory))
        Path(directory).chmod(0o755)
        try:
            ours = read_settings(
                environment(
                    broker_url="amqp://localhost",
                    redis_url=redis.url,
                    smtp_url=f"smtp+plain://127.0.0.1:{mails.port}",
                    templates=workload.TEMPLATES,
                )
            )
            print("| step | µs a delivery |\n|---|---|")
            for step, microseconds in [*_pure(ours), *_ledger(ours), *_smtp(mails.port)]:
                print(f"| {step} | {microseconds:.1f} |")
        finally:
            mails.close()
            redis.close()


def _pure(ours: Settings) -> list[tuple[str, float]]:
    content, email, (webhook, _) = build_content(ours).current, build_email(ours), build_webhook(ours)
    mails, hooks = _batch(workload.EMAIL), _batch(workload.WEBHOOK)
    wire = orjson.dumps(mails.encode())
    decoded = read_json(wire)
    rule = content.catalog.rule(workload.EMAIL.rule)
    assert rule is not None
    contexts = [event_context(mails.events[d.event], recipient={}, delivery_id=d.id) for d in mails.deliveries]
    texts = [content.renderer.email(rule.template, context) for context in contexts]
    endpoint = Endpoint("ep", "default", "http://127.0.0.1:8080/hook", ("whsec_" + "YWFhYWFhYWE" * 4,))
    bodies = [content.renderer.webhook("bench.hook", event, context) for event, context in _hooks(hooks)]
    addresses = [(d, d.to) for d in mails.deliveries if isinstance(d.to, Mailbox)]
    return [
        ("read JSON", best(lambda: read_json(wire))),
        ("decode the batch", best(lambda: Batch.decode(decoded))),
        ("render a mail", best(lambda: [content.renderer.email(rule.template, context) for context in contexts])),
        (
            "compose a mail",
            best(
                lambda: [
                    email.compose(d, to, rule, text, now=0.0) for (d, to), text in zip(addresses, texts, strict=True)
                ]
            ),
        ),
        ("render a webhook", best(lambda: [content.renderer.webhook("bench.hook", e, c) for e, c in _hooks(hooks)])),
        (
            "prepare a webhook",
            best(
                lambda: [
                    webhook.prepare(d, hooks.events[d.event], endpoint, body)
                    for d, body in zip(hooks.deliveries, bodies, strict=True)
                ]
            ),
        ),
    ]


def _hooks(batch: Batch) -> list[tuple[Event, dict[str, object]]]:
    events = [(batch.events[d.event], d.id) for d in batch.deliveries]
    return [(event, event_context(event, recipient=None, delivery_id=name)) for event, name in events]


def _ledger(ours: Settings) -> list[tuple[str, float]]:
    store = build_store(ours)
    ledger = build_ledger(ours, store)
    batches = [_batch(workload.EMAIL, f"run{number}") for number in range(RUNS)]
    rule = Rule(workload.EMAIL.rule, "", Channel.EMAIL, template="x", category="orders", transactional=False)
    for batch in batches:
        ledger.register([Registration(batch.events[d.event], ((d, rule),)) for d in batch.deliveries])
    attempt = Attempt(1, time.time(), 0.003, "sent", "smtp_250", "250 2.0.0 Ok", "celery@host/0123abcd")
    claims, records = [], []
    for batch in batches:
        began = time.thread_time()
        group = [claim_request(batch, d) for d in batch.deliveries]
        answers = ledger.claim(group, owner="celery@host/0123abcd", lease=LEASE_S)
        claims.append(time.thread_time() - began)
        outcomes = [
            Record(r.delivery.id, a.fence, Status.SENT, attempt=attempt, template="0123456789ab", claimed=r)
            for r, a in zip(group, answers, strict=True)
            if isinstance(a, Claimed)
        ]
        began = time.thread_time()
        assert all(ledger.record(outcomes))
        records.append(time.thread_time() - began)
    store.close()
    return [("claim (Redis)", min(claims) / COUNT * 1e6), ("record (Redis)", min(records) / COUNT * 1e6)]


def _smtp(port: int) -> list[tuple[str, float]]:
    content = b"Subject: x\r\n\r\n" + b"a line of a mail as long as most of them are\r\n" * 40
    mails = [checked("a@shop.example.com", f"c{number}@shop.example.com", content) for number in range(COUNT)]

    async def send() -> float:
        relays = SmtpRelays([f"smtp+plain://127.0.0.1:{port}"], hostname="bench.example.com")
        taken = []
        for _ in range(RUNS):
            began = time.thread_time()
            await relays.deliver_all(mails, lambda *_: None)
            taken.append(time.thread_time() - began)
        await relays.close()
        return min(taken)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return [("SMTP conversation", runner.run(send()) / COUNT * 1e6)]


def _batch(kind: workload.Kind, run: str = "run") -> Batch:
    events = [Event.from_attributes(json.loads(workload.event(kind, number, run))) for number in range(COUNT)]
    deliveries = []
    for number, event in enumerate(events):
        to = EndpointRef(endpoint="ep") if kind is workload.WEBHOOK else Mailbox(address=workload.address(number, run))
        identity = delivery_id(event.source, event.id, kind.rule, to.identity)
        deliveries.append(Delivery(id=identity, event=number, rule=kind.rule, to=to, queued=round(time.time(), 3)))
    return Batch(channel=Channel(kind.channel), priority=Priority.NORMAL, events=events, deliveries=deliveries)


def best(step: Callable[[], object]) -> float:
    """Microseconds of this thread's CPU for each of the batch's deliveries, in the best run."""
    step()
    taken = []
    for _ in range(RUNS):
        began = time.thread_time()
        step()
        taken.append(time.thread_time() - began)
    return min(taken) / COUNT * 1e6


def _made(directory: str, name: str) -> Path:
    made = Path(directory) / name
    made.mkdir()
    return made


if __name__ == "__main__":
    main()
