"""Faults while thousands of deliveries are under way: nothing is lost, duplicates are few and have the same id."""

import json
import threading
from collections.abc import Callable

from tests.acceptance import shop
from tests.acceptance.service import Service
from tests.acceptance.test_whole_way import add_endpoint, parked_ids, statuses
from tests.faults.missing import missing_hooks, missing_mails, saying_what_is_known
from tests.servers.http import HttpSink
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.smtp import SmtpSink

#: Retries come soon, and there are enough of them for a relay that refuses 30 of 100.
QUICK = {"NOTIFIER_EMAIL_RETRY": " ".join(["1", *["2"] * 24]), "NOTIFIER_WEBHOOK_RETRY": " ".join(["1", *["2"] * 24])}
EVENTS = 3000
#: What one kill may send twice: everything in flight in one worker, 24 batches of at most 50.
IN_FLIGHT = 24 * 50


def run_with(
    fault: Callable[[Service], None],
    service: Service,
    broker_url: str,
    smtp: SmtpSink,
    http: HttpSink,
    rabbit: RabbitMQ,
) -> tuple[int, shop.Expected]:
    """Publish, break something once a third has arrived, wait until all is done; (duplicates, expected)."""
    endpoint, _ = add_endpoint(service, http)
    events = shop.events(EVENTS)
    wanted = shop.expected(events, [endpoint])
    publishing = threading.Thread(target=shop.publish, args=(broker_url, events))
    publishing.start()
    smtp.wait_for(len(wanted.mails) // 3)
    fault(service)
    publishing.join()
    with saying_what_is_known(
        service, rabbit, broker_url, lambda: missing_mails(wanted, smtp) | missing_hooks(wanted, http)
    ):
        poll(lambda: not missing_mails(wanted, smtp), "every mail arrived")
        poll(lambda: not missing_hooks(wanted, http), "every webhook arrived")
        poll(lambda: not any(rabbit.queue_depths(broker_url).values()), "all queues empty")
    mails, hooks = shop.arrived_mails(smtp), shop.arrived_webhooks(http)
    assert mails.keys() == wanted.mails
    assert hooks.keys() == wanted.webhooks
    duplicates = mails.total() - len(mails) + hooks.total() - len(hooks)
    assert statuses(service, wanted.mails | wanted.webhooks) == {"sent": len(wanted.mails) + len(wanted.webhooks)}
    return duplicates, wanted


def test_a_worker_that_is_killed_loses_nothing(
    service: Service, broker_url: str, rabbitmq: RabbitMQ, smtp_sink: SmtpSink, http_sink: HttpSink
) -> None:
    # Given two workers under load
    service.environment |= QUICK
    service.consumer()
    first = service.worker("-n", "first@%h")
    service.worker("-n", "second@%h")

    # When one of them is killed in the middle
    duplicates, _ = run_with(lambda _: first.kill(), service, broker_url, smtp_sink, http_sink, rabbitmq)

    # Then the other sends what it held; only what had left without being recorded can come twice
    assert duplicates <= IN_FLIGHT


def test_a_consumer_that_is_killed_loses_nothing_and_doubles_nothing(
    service: Service, broker_url: str, rabbitmq: RabbitMQ, smtp_sink: SmtpSink, http_sink: HttpSink
) -> None:
    # Given intake under load
    consumer = service.consumer()
    service.worker("-n", "one@%h")

    def kill_and_restart(running: Service) -> None:
        consumer.kill()
        running.consumer()

    # When the consumer is killed and another takes over
    duplicates, _ = run_with(kill_and_restart, service, broker_url, smtp_sink, http_sink, rabbitmq)

    # Then events it had planned but not acknowledged are planned again, and the ledger recognises every delivery
    assert duplicates == 0


def test_a_restart_of_rabbitmq_loses_nothing(
    service: Service, broker_url: str, rabbitmq: RabbitMQ, smtp_sink: SmtpSink, http_sink: HttpSink
) -> None:
    service.environment |= QUICK
    service.consumer()
    service.worker("-n", "one@%h")

    duplicates, _ = run_with(lambda _: rabbitmq.restart(), service, broker_url, smtp_sink, http_sink, rabbitmq)

    assert duplicates <= IN_FLIGHT


def test_a_restart_of_redis_loses_nothing(
    service: Service,
    broker_url: str,
    rabbitmq: RabbitMQ,
    redis_server: RedisServer,
    smtp_sink: SmtpSink,
    http_sink: HttpSink,
) -> None:
    service.environment |= QUICK
    service.consumer()
    service.worker("-n", "one@%h")

    duplicates, _ = run_with(lambda _: redis_server.restart(), service, broker_url, smtp_sink, http_sink, rabbitmq)

    assert duplicates <= IN_FLIGHT


def test_what_a_relay_refuses_waits_in_the_failure_queue_and_goes_out_after_a_replay(
    service: Service, broker_url: str, rabbitmq: RabbitMQ, smtp_sink: SmtpSink
) -> None:
    # Given a relay that refuses 30 % for now and 5 % for good
    service.environment |= QUICK
    smtp_sink.misbehave(temporary=0.3, permanent=0.05, seed=7)
    service.consumer()
    service.worker("-n", "one@%h")
    events = shop.events(1000)
    wanted = shop.expected(events, []).mails

    # When a thousand events are published
    shop.publish(broker_url, events)

    def settled() -> bool:
        return len(shop.arrived_mails(smtp_sink)) + len(parked_ids(service)) == len(wanted)

    poll(settled, "every mail is sent or parked")

    # Then each one either arrived once or is parked with its reason
    arrived = shop.arrived_mails(smtp_sink)
    parked = json.loads(service.run("failures", "list", "--json", "--limit", "1000").stdout)["entries"]
    assert set(arrived.values()) == {1}
    assert arrived.keys() | {entry["id"] for entry in parked} == wanted
    assert {entry["cause"] for entry in parked} == {"bad_recipient"}
    assert {entry["code"] for entry in parked} == {"smtp_550_5.1.1"}

    # And when the cause is gone, a replay sends exactly those
    smtp_sink.behave()
    replayed = service.run("failures", "replay", "--channel", "email", "--yes", "--json")
    assert replayed.returncode == 0, replayed.stderr
    poll(lambda: shop.arrived_mails(smtp_sink).keys() == wanted, "the parked mails arrived")
    assert set(shop.arrived_mails(smtp_sink).values()) == {1}
    assert json.loads(service.run("failures", "list", "--json").stdout)["entries"] == []
