"""Relays under which mails pile up: one that throttles, and ones that are down; nothing is lost, no try wasted."""

import json
from collections import Counter
from typing import Any

import pytest

from notifier.domain.delivery import Status
from tests.acceptance.place import Place, mail_folder, metric, place
from tests.acceptance.service import is_ready
from tests.servers.patience import poll
from tests.servers.ports import free_port
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.smtp import SmtpSink

FOLDERS = {"relay.mail": mail_folder("relay.mail"), "relay.many": mail_folder("relay.many", text="Hello\n")}


def ids(at: Place, event_id: str, people: list[str]) -> list[str]:
    return [at.delivery(event_id, "relay.many/mail", f"mailto:{to}") for to in people]


def tries(at: Place, deliveries: list[str]) -> list[int]:
    return [record.tries if record else 0 for record in at.ledger.deliveries(deliveries)]


def paused_relays(at: Place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(at.service.run("relays", "--json").stdout)
    return found


def statuses(at: Place, deliveries: list[str]) -> Counter[str]:
    return Counter(record.status if record else "none" for record in at.ledger.deliveries(deliveries))


def test_the_rate_of_a_relay_that_throttles_is_found_and_nothing_is_lost(
    rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    people = [f"p{i}@example.org" for i in range(1500)]
    directory = tmp_path_factory.mktemp("throttling")
    with place(rabbitmq, redis_server, directory, FOLDERS, NOTIFIER_EMAIL_RETRY="2 5 5 5 5") as at:
        # Given a relay that takes 50 mails a second, and two workers that could send hundreds
        throttle = at.smtp.throttle(50)
        at.service.consumer()
        for name in ("one", "two"):
            at.service.worker("-n", f"{name}@%h")

        # When 1,500 mails are to be sent
        event_id = at.publish("relay.many", {"to": people})
        at.smtp.wait_for(len(people), timeout=180)

        # Then each arrives once, and none used up its tries
        wanted = ids(at, event_id, people)
        poll(lambda: statuses(at, wanted)[Status.SENT] == len(wanted), "all are recorded as sent")
        assert Counter(mail.recipients[0] for mail in at.smtp.mails) == Counter(people)
        # And the relay had to refuse few of them
        assert len(throttle.refused_at) < 0.05 * len(people)
        # And people see how fast the relay is used now, unless it is as fast as it can be
        (relay,) = json.loads(at.service.run("relays", "--json").stdout)
        assert relay["up"]
        assert relay["slowed"] is None or relay["rate"].endswith("/s, learned")


def test_while_every_relay_is_down_mails_wait_without_a_try_and_operators_are_told_once(
    rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    people = [f"p{i}@example.org" for i in range(200)]
    second = SmtpSink()
    relays = f"smtp+plain://127.0.0.1:{free_port()} smtp+plain://127.0.0.1:{second.port}"
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("down"), FOLDERS, relays=relays) as at:
        # Given a first relay that is not there, and a second whose policy refuses whatever we send
        second.reply("MAIL", "554 5.7.1 your server is on our list")
        at.service.consumer()
        worker = at.service.worker("-n", "one@%h")

        # When 200 mails are to be sent
        event_id = at.publish("relay.many", {"to": people})
        wanted = ids(at, event_id, people)
        poll(lambda: not any(relay["up"] for relay in paused_relays(at)), "both relays are paused")

        # Then people see why, the worker is ready all the same, and each relay was told of once
        first, other = paused_relays(at)
        assert "connect: connection" in first["reason"]
        assert "5.7.1" in other["reason"]
        assert len(other["paused_by"]) == 1
        assert is_ready(worker.health_port)
        assert metric(worker, "notifier_relay_up") == 0
        poll(lambda: Counter(tries(at, wanted))[0] > 150, "most wait without a try")
        assert worker.output().count('"message": "relay.paused"') == 2
        assert len(second.mails) == 0

        # And when the second relay takes mails again, all arrive, and hardly any try was spent
        second.behave()
        second.wait_for(len(people))
        poll(lambda: statuses(at, wanted)[Status.SENT] == len(wanted), "all are recorded as sent")
        assert Counter(mail.recipients[0] for mail in second.mails) == Counter(people)
        assert sum(tries(at, wanted)) < 1.2 * len(people)
        # And people see it as soon as the worker has told, which is after the mail that showed it was recorded
        poll(lambda: [relay["up"] for relay in paused_relays(at)] == [False, True], "the second relay is shown as up")
    second.close()
