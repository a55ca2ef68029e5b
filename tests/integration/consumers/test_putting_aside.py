"""Full work queues: events for them wait unplanned, everything else goes on, and all of it comes back."""

import urllib.request
from pathlib import Path

import pika
import pytest

from tests.integration.consumers.conftest import Broker, Process, StartConsumer
from tests.integration.consumers.test_intake_process import Message, structured

RULES = """\
event: order.placed
category: orders
rules:
  - {id: mailing, channel: email, priority: low, to: data.mailing}
  - {id: receipt, channel: email, priority: high, to: data.receipt}
"""
#: So that three tasks fill the low queue, and twelve the high one.
SMALL = {"NOTIFIER_QUEUE_DEPTH": "3", "NOTIFIER_BATCH_DELIVERIES": "1"}


@pytest.fixture
def templates(templates: Path) -> Path:
    (templates / "order.placed" / "rules.yaml").write_text(RULES)
    (templates / "order.placed" / "schema.json").unlink()
    return templates


def mailing(name: str) -> Message:
    return structured(name, data={"mailing": f"{name}@example.org", "receipt": None})


def receipt(name: str) -> Message:
    return structured(name, data={"mailing": None, "receipt": f"{name}@example.org"})


def fill(broker: Broker, queue: str, tasks: int = 3) -> None:
    with broker.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for _ in range(tasks):
            channel.basic_publish("notifier.tasks", queue, b"a task", pika.BasicProperties(delivery_mode=2))


def empty(broker: Broker, queue: str) -> int:
    return len(list(broker.bodies(queue)))


def until_full(process: Process, queue: str, value: int = 1) -> None:
    process.until(lambda p: metric_of(p, "notifier_queue_full", queue) == value)


def metric_of(process: Process, name: str, queue: str) -> float:
    page = urllib.request.urlopen(f"http://127.0.0.1:{process.port}/metrics").read().decode()
    return sum(
        float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(f'{name}{{queue="{queue}"')
    )


def test_events_for_a_full_low_queue_are_put_aside_and_high_ones_go_on(
    broker: Broker, start_consumer: StartConsumer
) -> None:
    # Given an intake that has seen a full low queue
    fill(broker, "email-low")
    process = start_consumer(**SMALL)
    until_full(process, "email-low")

    # When mailings come, and a receipt behind them
    broker.publish(*(mailing(f"m{n}") for n in range(150)), receipt("r"))

    # Then the mailings wait unplanned, and the receipt is a task
    broker.until(lambda depths: depths == {"email-low": 3, "waiting-email-low": 150, "email-high": 1})
    assert broker.delivered("email-high") == ["r/r@example.org"]
    assert metric_of(process, "notifier_events_set_aside_total", "email-low") == 150
    assert "intake.slowed" in process.log.read_text()

    # And when the queue is worked off, they come back by themselves, each once
    assert empty(broker, "email-low") == 3
    until_full(process, "email-low", 0)
    planned: list[str] = []
    while len(planned) < 150:
        broker.until(lambda depths: "email-low" in depths)
        planned += broker.delivered("email-low")
    assert sorted(planned) == sorted(f"m{n}/m{n}@example.org" for n in range(150))
    assert "intake.resumed" in process.log.read_text()
    broker.until(lambda depths: depths == {})


def test_an_event_for_a_full_and_an_empty_queue_is_planned_in_two_parts_without_a_copy(
    broker: Broker, start_consumer: StartConsumer
) -> None:
    # Given a full low queue
    fill(broker, "email-low")
    process = start_consumer(**SMALL)
    until_full(process, "email-low")

    # When an event is for a mailing and for a receipt
    broker.publish(structured("both", data={"mailing": "m@example.org", "receipt": "r@example.org"}))

    # Then its receipt goes at once
    broker.until(lambda depths: depths.get("email-high") == 1 and depths.get("waiting-email-low") == 1)
    # And its mailing when there is room; the receipt, which nobody has sent yet, comes as a copy that claims recognise
    assert empty(broker, "email-low") == 3
    broker.until(lambda depths: depths.get("email-low") == 1 and "waiting-email-low" not in depths)
    assert broker.delivered("email-low") == ["both/m@example.org"]
    assert set(broker.delivered("email-high")) == {"both/r@example.org"}
    # And from now on it is a duplicate
    broker.publish(structured("both", data={"mailing": "m@example.org", "receipt": "r@example.org"}))
    process.until(lambda p: p.metric("notifier_events_duplicate_total") == 1)
    broker.until(lambda depths: depths == {})


def test_a_fan_out_for_a_full_queue_waits_as_one_message(broker: Broker, start_consumer: StartConsumer) -> None:
    # Given a full low queue
    fill(broker, "email-low")
    process = start_consumer(NOTIFIER_QUEUE_DEPTH="3", NOTIFIER_TENANT_BURST="5000")
    until_full(process, "email-low")

    # When an event is for 1,200 people
    people = [f"p{n}@example.org" for n in range(1200)]
    broker.publish(structured("all", data={"mailing": people, "receipt": None}))

    # Then it waits whole, and comes back whole
    broker.until(lambda depths: depths == {"email-low": 3, "waiting-email-low": 1})
    assert empty(broker, "email-low") == 3
    broker.until(lambda depths: depths.get("email-low") == 24 and "waiting-email-low" not in depths)
    assert sorted(broker.delivered("email-low")) == sorted(f"all/{person}" for person in people)


def test_what_was_put_aside_is_read_also_when_the_limit_was_lifted(
    broker: Broker, start_consumer: StartConsumer
) -> None:
    # Given an event put aside by an intake that ran with a limit
    fill(broker, "email-low")
    process = start_consumer(**SMALL)
    until_full(process, "email-low")
    broker.publish(mailing("m"))
    broker.until(lambda depths: depths.get("waiting-email-low") == 1)
    assert process.stop() == 0

    # When one without a limit starts, then it is planned
    assert empty(broker, "email-low") == 3
    start_consumer(NOTIFIER_QUEUE_DEPTH="0")
    broker.until(lambda depths: depths == {"email-low": 1})
    assert broker.delivered("email-low") == ["m/m@example.org"]
