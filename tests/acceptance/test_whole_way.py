"""Ten thousand events of several types, from the broker to a mail server and a webhook receiver."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from notifier.environment import read_settings
from notifier.storage.ledger import Ledger
from notifier.storage.parked import ParkedFilter, ParkedIndex
from notifier.storage.store import Store
from notifier.wiring.stores import build_store
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


@contextmanager
def opened(service: Service) -> Iterator[Store]:
    """The service's Redis."""
    store = build_store(read_settings({k: v for k, v in service.environment.items() if k.startswith("NOTIFIER_")}))
    try:
        yield store
    finally:
        store.close()


def statuses(service: Service, ids: set[str]) -> dict[str, int]:
    """How many deliveries have each status, by the ledger."""
    with opened(service) as store:
        found = Ledger(store).deliveries(sorted(ids))
    return dict(Counter(record.status.value if record else "unknown" for record in found))


def parked_ids(service: Service) -> set[str]:
    """What the index of the failure queues names; for waiting, as a verb would cost a second at each look."""
    with opened(service) as store:
        return set(ParkedIndex(store).ids(ParkedFilter()))


def test_ten_thousand_events_arrive_exactly_once_and_the_ledger_says_so(
    service: Service, broker_url: str, rabbitmq: RabbitMQ, smtp_sink: SmtpSink, http_sink: HttpSink
) -> None:
    # Given the service, set up as an operator does, with a webhook endpoint that wants everything
    applied = service.run("topology", "apply")
    assert applied.returncode == 0, applied.stderr
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
