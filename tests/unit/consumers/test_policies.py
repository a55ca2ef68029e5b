"""Which policies a RabbitMQ wants, and what a person is told who has to set them."""

import json
import re

import pytest

from consumers.policies import FAILURES, LEADERS, Management, limit_advice, policies_for
from notifier.domain.topology import FAILURE_QUEUES, QUEUES
from notifier.errors import BrokerUnavailable
from tests.servers.ports import free_port


@pytest.mark.parametrize(
    ("version", "limits"),
    [("3.10.8", False), ("3.13.7", False), ("4.0.5", True), ("10.1", True), ("", False), ("custom-build", False)],
)
def test_a_delivery_limit_is_lifted_only_where_there_is_one(version: str, limits: bool) -> None:
    assert policies_for(version) == ((FAILURES, LEADERS) if limits else (LEADERS,))
    assert bool(limit_advice(version, "shop")) is limits


def test_the_advice_is_a_command_that_can_be_run() -> None:
    advice = limit_advice("4.0.5", "shop")

    assert "--vhost 'shop'" in advice
    definition = re.search(r"'(\{.*\})'", advice)
    assert definition is not None
    assert json.loads(definition[1]) == FAILURES.definition
    assert FAILURES.pattern in advice


def test_the_patterns_fit_the_queues_that_they_are_for() -> None:
    names = {queue.name for queue in QUEUES}

    assert {name for name in names if re.search(FAILURES.pattern, name)} == set(FAILURE_QUEUES)
    assert {name for name in names if not re.search(LEADERS.pattern, name)} == set()


def test_a_management_api_that_is_not_there_is_told_with_its_address() -> None:
    port = free_port()
    management = Management(f"http://127.0.0.1:{port}", "amqp://user:secret@broker/shop")

    with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{port}.*rabbitmq_management") as told:
        management.set(LEADERS, "shop")

    assert "secret" not in str(told.value)
