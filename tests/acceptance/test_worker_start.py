"""A worker that cannot work says why and ends, or says what it did instead."""

import json

import pika
import pytest

from tests.acceptance.service import Service
from tests.servers.freezing import FreezingWay
from tests.servers.processes import ServerBroken
from tests.servers.rabbitmq import RabbitMQ


def test_a_queue_with_other_arguments_ends_the_worker_with_an_explanation(service: Service, broker_url: str) -> None:
    # Given a work queue that somebody declared without our arguments
    connection = pika.BlockingConnection(pika.URLParameters(broker_url))
    channel = connection.channel()
    channel.queue_delete("email-low")
    channel.queue_declare("email-low", durable=True, arguments={"x-queue-type": "quorum"})
    connection.close()

    # When a worker starts
    with pytest.raises(ServerBroken) as ended:
        service.worker("-n", "one@%h")

    # Then it ends, and says which queue, which argument and what to do
    told = str(ended.value)
    assert "ended with status 2" in told
    assert "queue email-low exists with other arguments" in told
    assert "x-dead-letter-exchange" in told
    assert "notifier topology apply" in told


def test_a_worker_whose_first_node_is_frozen_starts_with_the_next(
    service: Service, broker_url: str, rabbitmq: RabbitMQ
) -> None:
    # Given a node whose kernel accepts connections, and that never says hello
    way = FreezingWay(None)
    frozen = broker_url.replace(f":{rabbitmq.port}/", f":{way.port}/")
    service.environment["NOTIFIER_BROKER_URL"] = f"{frozen};{broker_url}"

    # When a worker starts, then it is soon ready: Celery, which waits for such a login for ever, is given a time
    service.worker("-n", "one@%h")
    assert way.accepted
    way.close()


def test_what_a_worker_says_while_it_is_built_is_said_in_the_format_of_the_logs(service: Service) -> None:
    # Given settings that are allowed and unwise
    service.environment["NOTIFIER_SMTP_URL"] = "smtp+plain://user:a-password@relay.example.com:25"

    # When a worker starts
    said = service.worker().output()

    # Then its log says which and why, and the settings once
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    advice = [line for line in lines if line["message"] == "settings.advice"]
    assert "NOTIFIER_SMTP_URL" in {line["setting"] for line in advice}
    assert [line["message"] for line in lines].count("settings.read") == 1
    assert "a-password" not in said
