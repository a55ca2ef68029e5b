"""Ten thousand events of several types, from the broker to a mail server and a webhook receiver."""

import json

from tests.acceptance import shop
from tests.acceptance.service import Service
from tests.servers.http import HttpSink
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.smtp import SmtpSink


def add_endpoint(service: Service, sink: HttpSink, path: str = "/hook") -> tuple[str, str]:
    """Register a webhook; (endpoint id, secret)."""
    added = service.run("endpoints", "add", sink.url + path, "--json")
    assert added.returncode == 0, added.stderr
    endpoint = json.loads(added.stdout)
    return endpoint["id"], endpoint["secret"]


def statuses(service: Service, ids: set[str]) -> dict[str, int]:
    """How many deliveries have each status, by the ledger."""
    from notifier.settings import read_settings
    from notifier.wiring.stores import build_ledger, build_store

    ours = read_settings({k: v for k, v in service.environment.items() if k.startswith("NOTIFIER_")})
    store = build_store(ours)
    found: dict[str, int] = {}
    for record in build_ledger(ours, store).deliveries(sorted(ids)):
        status = record.status.value if record else "unknown"
        found[status] = found.get(status, 0) + 1
    store.close()
    return found


def test_ten_thousand_events_arrive_exactly_once_and_the_ledger_says_so(
    service: Service, broker_url: str, rabbitmq: RabbitMQ, smtp_sink: SmtpSink, http_sink: HttpSink
) -> None:
    # Given the service, with a webhook endpoint that wants everything
    endpoint, _ = add_endpoint(service, http_sink)
    service.consumer()
    service.worker("-n", "one@%h")
    events = shop.events(10_000)
    wanted = shop.expected(events, [endpoint])

    # When ten thousand events are published
    shop.publish(broker_url, events)

    # Then every planned delivery arrives, exactly once
    smtp_sink.wait_for(len(wanted.mails))
    http_sink.wait_for(len(wanted.webhooks))
    poll(lambda: not any(rabbitmq.queue_depths(broker_url).values()), "all queues empty")
    assert shop.arrived_mails(smtp_sink) == dict.fromkeys(wanted.mails, 1)
    assert shop.arrived_webhooks(http_sink) == dict.fromkeys(wanted.webhooks, 1)
    # And the ledger says so
    assert statuses(service, wanted.mails | wanted.webhooks) == {"sent": len(wanted.mails) + len(wanted.webhooks)}
