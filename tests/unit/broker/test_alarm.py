"""Whether RabbitMQ holds publishers back, and what Celery's tools make of who hears of it."""

from collections.abc import Iterator

import pytest
from kombu.utils import json

from notifier import metrics
from notifier.broker.alarm import ALARM, Callback
from notifier.celery import from_settings
from notifier.settings import Settings


def test_inspect_stats_can_write_the_settings_of_a_connection_as_json() -> None:
    # Given settings with callbacks among them: a worker that could not write them answered no `inspect stats`
    options = from_settings(Settings())["broker_transport_options"]

    # Then they are written by name
    assert json.loads(json.dumps(options))["on_blocked"] == "begin"


@pytest.fixture(autouse=True)
def over() -> Iterator[None]:
    yield
    ALARM.end()


def test_it_is_told_with_what_to_ask_until_a_publish_is_confirmed() -> None:
    ALARM.begin("low on memory")
    assert ALARM.reason is not None
    assert "rabbitmq-diagnostics alarms" in ALARM.reason
    assert metrics.REGISTRY.get_sample_value("notifier_broker_blocked") == 1

    ALARM.end()

    assert ALARM.reason is None
    assert metrics.REGISTRY.get_sample_value("notifier_broker_blocked") == 0


def test_what_a_connection_calls_can_be_written_as_json() -> None:
    begin = Callback(ALARM.begin)

    begin("low on memory")

    assert ALARM.reason is not None
    assert begin.__json__() == "begin"
