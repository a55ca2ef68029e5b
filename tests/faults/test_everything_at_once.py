"""Everything at once: ten thousand events while processes are killed, servers restart and the relay refuses a third."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.acceptance import shop
from tests.acceptance.service import Service
from tests.acceptance.test_whole_way import add_endpoint, parked_ids, statuses
from tests.faults.missing import missing_hooks, missing_mails, saying_what_is_known
from tests.faults.test_under_load import IN_FLIGHT, QUICK
from tests.servers.http import HttpSink
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.smtp import SmtpSink


@dataclass(frozen=True)
class Fault:
    """Something that was broken on purpose."""

    name: str
    until: float
    """Unix time at which it had been done."""


def duplicates(smtp: SmtpSink, http: HttpSink) -> dict[str, list[float]]:
    """Deliveries that arrived more than once, with when their copies came."""
    copies: dict[str, list[float]] = {}
    for mail in smtp.mails:
        copies.setdefault(mail.delivery, []).append(mail.received_at)
    for request in http.requests:
        copies.setdefault(request.delivery, []).append(request.received_at)
    return {delivery: sorted(times) for delivery, times in copies.items() if len(times) > 1}


def explained(copies: dict[str, list[float]], faults: list[Fault]) -> dict[str, str]:
    """Fault → how many deliveries it made come twice: their first copy had left when it struck, unrecorded."""
    gaps: dict[str, list[float]] = {}
    for first, *_ in copies.values():
        fault = next((fault for fault in faults if fault.until >= first), Fault("after every fault", first))
        gaps.setdefault(fault.name, []).append(fault.until - first)
    return {name: f"{len(found)}, the first copy at most {max(found):.2f} s before" for name, found in gaps.items()}


@pytest.mark.timeout(1200)
def test_ten_thousand_events_survive_every_fault_in_one_run(
    service: Service,
    broker_url: str,
    rabbitmq: RabbitMQ,
    redis_server: RedisServer,
    smtp_sink: SmtpSink,
    http_sink: HttpSink,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Given the service under load, with a relay that refuses 30 % for now and 5 % for good
    service.environment |= QUICK
    endpoint, _ = add_endpoint(service, http_sink)
    smtp_sink.misbehave(temporary=0.3, permanent=0.05, seed=7)
    consumer = service.consumer()
    first = service.worker("-n", "first@%h")
    service.worker("-n", "second@%h")
    events = shop.events(10_000)
    wanted = shop.expected(events, [endpoint])
    publishing = threading.Thread(target=shop.publish, args=(broker_url, events))
    publishing.start()
    faults: list[Fault] = []

    def strike(share: float, name: str, act: Callable[[], object]) -> None:
        http_sink.wait_for(int(len(wanted.webhooks) * share))
        act()
        faults.append(Fault(name, time.time()))

    # When a worker and then a consumer are killed, and RabbitMQ and Redis restart, while it runs
    strike(0.10, "kill -9 of a worker", first.kill)
    service.worker("-n", "third@%h")
    strike(0.25, "kill -9 of the consumer", consumer.kill)
    service.consumer()
    strike(0.40, "restart of RabbitMQ", rabbitmq.restart)
    strike(0.60, "restart of Redis", redis_server.restart)
    publishing.join()

    # Then every delivery arrives or is parked
    def open_mails() -> set[str]:
        return wanted.mails - shop.arrived_mails(smtp_sink).keys() - parked_ids(service)

    with saying_what_is_known(service, rabbitmq, broker_url, lambda: missing_hooks(wanted, http_sink) | open_mails()):
        poll(lambda: not missing_hooks(wanted, http_sink), "every webhook arrived")
        poll(lambda: not open_mails(), "every mail arrived or is parked")
    listed = service.run("failures", "list", "--json", "--limit", "10000")
    entries: list[dict[str, str]] = json.loads(listed.stdout)["entries"]
    assert {entry["queue"] for entry in entries} == {"failed-email"}
    assert {entry["code"] for entry in entries} == {"smtp_550_5.1.1"}

    # And what was refused goes out when the cause is gone and an operator replays it
    smtp_sink.behave()
    replayed = service.run("failures", "replay", "--channel", "email", "--yes", "--json")
    assert replayed.returncode == 0, replayed.stderr
    with saying_what_is_known(service, rabbitmq, broker_url, lambda: missing_mails(wanted, smtp_sink)):
        poll(lambda: not missing_mails(wanted, smtp_sink), "the parked mails arrived")
    poll(lambda: not any(rabbitmq.queue_depths(broker_url).values()), "all queues empty")
    assert shop.arrived_mails(smtp_sink).keys() == wanted.mails
    assert shop.arrived_webhooks(http_sink).keys() == wanted.webhooks
    assert statuses(service, wanted.mails | wanted.webhooks) == {"sent": len(wanted.mails) + len(wanted.webhooks)}

    # And only what had left when a worker lost its life or its servers came again, with the same id
    twice = duplicates(smtp_sink, http_sink)
    with capsys.disabled():
        total = len(wanted.mails) + len(wanted.webhooks)
        print(f"\n{total} deliveries of {len(events)} events, {len(entries)} parked and replayed, lost 0, ", end="")
        print(f"came twice {len(twice)}: {explained(twice, faults) or 'none'}")
    assert all(len(times) == 2 for times in twice.values())
    assert len(twice) <= 3 * IN_FLIGHT
