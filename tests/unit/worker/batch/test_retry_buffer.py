"""Retries of batches that run at the same time travel together, and no batch ends before the broker has its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.domain.batch import MAX_DELIVERIES, Batch
from notifier.domain.delivery import Delivery
from notifier.domain.rule import Channel, Priority
from notifier.errors import BrokerUnavailable
from notifier.worker import outage
from notifier.worker.batch import retry_buffer
from notifier.worker.batch.retry_buffer import RetryBuffer
from tests.unit.worker.digests.windows import digest_batch
from tests.unit.worker.doubles import Broker, Faults, World, batch_of


@pytest.fixture(autouse=True)
def in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gathered as long as others run: they do in the same turn of the loop."""
    monkeypatch.setattr(retry_buffer, "GATHER_S", 0.0)
    monkeypatch.setattr(outage, "_STEPS_S", (0.0,))


def retries(batch: Batch, *seconds: int) -> list[tuple[Delivery, int]]:
    tried = [one.model_copy(update={"attempt": one.attempt + 1}) for one in batch.deliveries]
    return list(zip(tried, seconds, strict=True))


def together(buffer: RetryBuffer, *sent: tuple[Batch, Sequence[tuple[Delivery, int]]]) -> list[Any]:
    """Batches that run at the same time; what each ended with."""
    running = [gevent.spawn(buffer.send, *one) for one in sent]
    gevent.joinall(running)
    return [one.exception for one in running]


def queued(broker: Broker) -> list[tuple[int, list[str]]]:
    return sorted((after, [one.id for one in batch.deliveries]) for batch, after in broker.queued)


def test_what_is_due_together_travels_together_whatever_batch_it_comes_from() -> None:
    broker = Broker()
    first, second = batch_of("dlv_a", "dlv_b"), batch_of("dlv_c", "dlv_d")

    ended = together(RetryBuffer(broker), (first, retries(first, 30, 60)), (second, retries(second, 60, 30)))

    assert ended == [None, None]
    assert queued(broker) == [(30, ["dlv_a", "dlv_d"]), (60, ["dlv_b", "dlv_c"])]
    assert {one.attempt for batch, _ in broker.queued for one in batch.deliveries} == {1}


def test_queues_are_kept_apart() -> None:
    broker = Broker()
    mail, hook = batch_of("dlv_a"), batch_of("dlv_b", kind=Channel.WEBHOOK, endpoint="ep_1")
    high = batch_of("dlv_c").model_copy(update={"priority": Priority.HIGH})
    shard = batch_of("dlv_d").model_copy(update={"shard": 2})

    together(RetryBuffer(broker), *((one, retries(one, 30)) for one in (mail, hook, high, shard)))

    made = {batch.queue: [one.id for one in batch.deliveries] for batch, _ in broker.queued}
    assert made == {mail.queue: ["dlv_a"], hook.queue: ["dlv_b"], high.queue: ["dlv_c"], shard.queue: ["dlv_d"]}


def test_a_message_takes_as_many_as_a_task_does() -> None:
    broker = Broker()
    batches = [batch_of(*(f"dlv_{number}_{one}" for one in range(40))) for number in range(3)]

    together(RetryBuffer(broker), *((one, retries(one, *[30] * 40)) for one in batches))

    assert [len(batch.deliveries) for batch, _ in broker.queued] == [MAX_DELIVERIES, MAX_DELIVERIES, 20]


def test_a_digest_travels_alone_with_all_its_events(world: World) -> None:
    digest, mail = digest_batch(world, "dlv_i", "dlv_j"), batch_of("dlv_a")

    together(RetryBuffer(world.broker), (digest, retries(digest, 30)), (mail, retries(mail, 30)))

    assert queued(world.broker) == [(30, ["dig_dlv_i"]), (30, ["dlv_a"])]
    assert digest.deliveries[0].digest in [batch.deliveries[0].digest for batch, _ in world.broker.queued]


def test_nothing_to_retry_waits_for_nobody() -> None:
    broker = Broker()
    RetryBuffer(broker).send(batch_of("dlv_a"), [])
    assert broker.queued == []


@pytest.mark.parametrize("after", [False, True], ids=["unheard", "unanswered"])
def test_while_the_broker_is_away_all_wait_for_it(after: bool) -> None:
    broker, batches = Broker(), [batch_of("dlv_a"), batch_of("dlv_b")]
    faulty = Faults(0, BrokerUnavailable("away"), after).of(broker)

    ended = together(RetryBuffer(faulty), *((one, retries(one, 30)) for one in batches))

    assert ended == [None, None]
    assert queued(broker)[-1] == (30, ["dlv_a", "dlv_b"])


def test_an_error_ends_all_that_were_gathered_and_nobody_that_comes_later() -> None:
    broker, batches = Broker(), [batch_of("dlv_a"), batch_of("dlv_b")]
    buffer = RetryBuffer(Faults(0, ZeroDivisionError("a mistake of ours")).of(broker))

    ended = together(buffer, *((one, retries(one, 30)) for one in batches))
    later = batch_of("dlv_c")
    buffer.send(later, retries(later, 30))

    assert [type(one) for one in ended] == [ZeroDivisionError] * 2
    assert queued(broker) == [(30, ["dlv_c"])]


def test_a_batch_that_is_ended_while_it_gathers_gives_the_others_back_to_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given two batches, of which the first gathers for both
    monkeypatch.setattr(retry_buffer, "GATHER_S", 60.0)
    broker, first, second = Broker(), batch_of("dlv_a"), batch_of("dlv_b")
    buffer = RetryBuffer(broker)
    running = [gevent.spawn(buffer.send, one, retries(one, 30)) for one in (first, second)]
    gevent.sleep(0)

    # When the first is ended
    running[0].kill()
    gevent.joinall(running)

    # Then the second does not end as if its retries were queued
    assert isinstance(running[1].exception, BrokerUnavailable)
    assert broker.queued == []


@given(st.lists(st.lists(st.tuples(st.sampled_from([1, 30, 60]), st.booleans()), min_size=1, max_size=8), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_to_be_retried_comes_back_once_and_when_it_should(plans: list[list[tuple[int, bool]]]) -> None:
    broker, wanted, sent = Broker(), dict[str, int](), []
    for number, plan in enumerate(plans):
        batch = batch_of(*(f"dlv_{number}_{place}" for place in range(len(plan))))
        chosen = [one for one, (_, again) in zip(retries(batch, *(s for s, _ in plan)), plan, strict=True) if again]
        wanted |= {delivery.id: seconds for delivery, seconds in chosen}
        sent.append((batch, chosen))

    ended = together(RetryBuffer(broker), *sent)

    assert ended == [None] * len(sent)
    found = [(one.id, after) for batch, after in broker.queued for one in batch.deliveries]
    assert sorted(found) == sorted(wanted.items())
