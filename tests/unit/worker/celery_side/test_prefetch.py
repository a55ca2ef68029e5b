"""How many batches of each queue the broker hands over ahead, and a pool with a greenlet for each."""

from types import SimpleNamespace
from typing import Any

import pytest

from notifier.worker.celery_side.prefetch import RoomForAll, _QueueConsumer, ahead_of


@pytest.mark.parametrize(
    ("queue", "ahead"),
    [("email-high", 20), ("email-normal", 40), ("webhook-low", 20), ("email-normal-shard2", 20), ("digest", 20)],
)
def test_of_normal_ones_twice_as_many_are_handed_over(queue: str, ahead: int) -> None:
    assert ahead_of(queue, 20) == ahead


def test_at_least_two_are() -> None:
    assert ahead_of("email-low", 1) == 2


def test_each_queue_is_given_its_own_number_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr("kombu.Consumer.__init__", lambda self, *_, **__: None)
    monkeypatch.setattr("kombu.Consumer._basic_consume", lambda _, queue, *__, **___: said.append(queue.name))
    consumer = _QueueConsumer(ahead=len)
    consumer.channel = SimpleNamespace(basic_qos=lambda *told: said.append(told))

    for name in ("ab", "abcd"):
        consumer._basic_consume(SimpleNamespace(name=name))

    # The broker takes the last number it was told for the consumer that follows, and not for the whole channel
    assert said == [(0, 2, False), "ab", (0, 4, False), "abcd"]


def consumer_of(driver: str) -> Any:
    grown: list[int] = []
    queues = SimpleNamespace(consume_from={"email-high": None, "email-normal": None})
    return SimpleNamespace(
        pool=SimpleNamespace(limit=20, grow=grown.append, grown=grown),
        connection=SimpleNamespace(transport=SimpleNamespace(driver_type=driver)),
        app=SimpleNamespace(amqp=SimpleNamespace(queues=queues, Consumer=None)),
    )


def test_the_pool_has_a_greenlet_for_all_that_is_handed_over_and_grows_once() -> None:
    consumer = consumer_of("amqp")
    step = RoomForAll(consumer)

    step.start(consumer)
    step.start(consumer)

    assert consumer.pool.grown == [8 + 20 + 40 - 20]
    assert consumer.app.amqp.Consumer is not None


def test_without_rabbitmq_nothing_changes() -> None:
    consumer = consumer_of("redis")

    RoomForAll(consumer).start(consumer)

    assert (consumer.pool.grown, consumer.app.amqp.Consumer) == ([], None)
