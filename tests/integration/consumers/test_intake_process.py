"""Events in, tasks out, through the real process: nothing is lost and nothing is planned twice without need."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pika
import pytest

from notifier.domain.outcome import Cause
from tests.integration.consumers.conftest import Broker, StartConsumer
from tests.servers.freezing import FreezingWay
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

Message = tuple[pika.BasicProperties, bytes]


def structured(number: int | str, **changes: Any) -> Message:
    wire = {
        "specversion": "1.0",
        "id": str(number),
        "source": "/shop",
        "type": "order.placed",
        "data": {"customer": "ann@example.org"},
        **changes,
    }
    return pika.BasicProperties(content_type="application/cloudevents+json", delivery_mode=2), orjson.dumps(wire)


def binary(headers: dict[str, Any], body: bytes = b"{}", content_type: str = "application/json") -> Message:
    return pika.BasicProperties(content_type=content_type, headers=headers, delivery_mode=2), body


def test_an_event_becomes_a_task_with_its_delivery(broker: Broker, start_consumer: StartConsumer) -> None:
    # Given an event in structured and one in binary mode
    names = {"specversion": "1.0", "id": "b", "source": "/shop", "type": "order.placed"}
    body = b'{"customer":"bob@example.org"}'
    broker.publish(structured("a"), binary({f"cloudEvents:{name}": value for name, value in names.items()}, body))

    # When intake runs
    start_consumer()
    broker.until_taken_in()

    # Then both are planned
    assert sorted(broker.delivered()) == ["a/ann@example.org", "b/bob@example.org"]
    assert broker.parked() == []


MALFORMED: dict[str, Message] = {
    "no CloudEvent at all": (pika.BasicProperties(content_type="application/json"), b'{"order":1}'),
    "no content type": (pika.BasicProperties(), b"hello"),
    "not JSON": (pika.BasicProperties(content_type="application/cloudevents+json"), b"{"),
    "not UTF-8": (pika.BasicProperties(content_type="application/cloudevents+json"), b'{"id":"\xff"}'),
    "empty": (pika.BasicProperties(content_type="application/cloudevents+json"), b""),
    "a list": (pika.BasicProperties(content_type="application/cloudevents+json"), b"[]"),
    "too deep": (pika.BasicProperties(content_type="application/cloudevents+json"), b"[" * 100_000),
    "a wrong version": structured(1, specversion="0.3"),
    "no type": structured(1, type=None),
    "an id that is a number": structured(1, id=5),
    "a time without offset": structured(1, time="2026-01-01T00:00:00"),
    "both kinds of data": structured(1, data_base64="aGk="),
    "a batch": (pika.BasicProperties(content_type="application/cloudevents-batch+json"), b"[]"),
    "another format": (pika.BasicProperties(content_type="application/cloudevents+avro"), b"x"),
    "another charset": (pika.BasicProperties(content_type="application/cloudevents+json; charset=utf-16"), b"{}"),
    "mixed prefixes": binary({"cloudEvents:id": "1", "ce-type": "order.placed"}),
    "a header that is a table": binary({"cloudEvents:id": {"a": 1}}),
    "compressed": (pika.BasicProperties(content_type="application/cloudevents+json", content_encoding="gzip"), b"x"),
}


def test_whatever_is_no_event_is_parked_with_its_reason(broker: Broker, start_consumer: StartConsumer) -> None:
    # Given messages of many wrong kinds, and a right one behind them
    broker.publish(*MALFORMED.values(), structured("right"))

    # When intake runs
    process = start_consumer()
    broker.until_taken_in()

    # Then each is parked, byte for byte, with a cause and words, and the right one is planned
    parked = broker.parked()
    assert sorted(entry.body for entry in parked) == sorted(body for _, body in MALFORMED.values())
    assert {entry.parked[0].cause for entry in parked} == {Cause.MALFORMED}
    assert all(entry.parked[0].reason for entry in parked)
    assert broker.delivered() == ["right/ann@example.org"]
    process.until(lambda p: p.metric("notifier_events_parked_total") == len(MALFORMED))


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (structured(1, data={"customer": "a@example.org", "total": "ten"}), Cause.SCHEMA),
        (structured(1, data={"customer": 5}), Cause.PLANNING),
        (structured(1, data={}), Cause.PLANNING),
        (structured(1, data={"text": "x" * 300_000}), Cause.TOO_LARGE),
    ],
)
def test_an_event_that_cannot_be_planned_is_parked(
    broker: Broker, start_consumer: StartConsumer, message: Message, cause: Cause
) -> None:
    broker.publish(message)
    start_consumer()
    broker.until(lambda depths: depths == {"failed-intake": 1})
    assert [entry.parked[0].cause for entry in broker.parked()] == [cause]


def test_a_message_too_large_to_copy_is_moved_by_the_broker(broker: Broker, start_consumer: StartConsumer) -> None:
    # Given nine megabytes
    message = structured(1, data="x" * 9 * 1024 * 1024)
    broker.publish(message)

    # When intake rejects it
    start_consumer()
    broker.until(lambda depths: depths == {"failed-intake": 1})

    # Then the original lies in the failure queue
    assert list(broker.bodies("failed-intake")) == [message[1]]


def test_one_wrong_recipient_does_not_cost_the_others_theirs(broker: Broker, start_consumer: StartConsumer) -> None:
    # Given an event to two people, one of whom cannot be reached
    broker.publish(structured("a", data={"customer": ["ann@example.org", 5]}))

    # When intake runs
    start_consumer()
    broker.until(lambda depths: "notifier.intake" not in depths and "failed-intake" in depths)

    # Then one is written to, and the other is visible as a failure
    assert broker.delivered() == ["a/ann@example.org"]
    (entry,) = broker.parked()
    assert entry.parked[0].cause is Cause.PLANNING
    assert "to[1]: " in entry.parked[0].reason


def test_the_same_event_again_is_counted_and_skipped(broker: Broker, start_consumer: StartConsumer) -> None:
    # Given an event that was taken in
    process = start_consumer()
    broker.publish(structured("a"))
    broker.until(lambda depths: depths == {"email-normal": 1})

    # When it comes twice more
    broker.publish(structured("a"), structured("a"))
    process.until(lambda p: p.metric("notifier_events_duplicate_total") == 2)

    # Then there is still one delivery
    broker.until_taken_in()
    assert broker.delivered() == ["a/ann@example.org"]


def test_an_event_nobody_wants_is_counted(broker: Broker, start_consumer: StartConsumer) -> None:
    process = start_consumer()
    broker.publish(structured("a", type="order.forgotten"))
    process.until(lambda p: p.metric("notifier_events_unmatched_total") == 1)
    assert broker.until_taken_in() == {}


def test_a_fan_out_is_planned_in_chunks_while_others_go_on(broker: Broker, start_consumer: StartConsumer) -> None:
    # Given one event to 5,000 people and small ones around it
    people = [f"p{n}@example.org" for n in range(5000)]
    small = [structured(f"s{n}") for n in range(20)]
    broker.publish(*small[:10], structured("big", data={"customer": people}), *small[10:])

    # When intake runs, on which one tenant may have so much waiting
    start_consumer(NOTIFIER_TENANT_BURST="50000")
    broker.until_taken_in()

    # Then everyone has exactly one delivery
    wanted = [f"big/{person}" for person in people] + [f"s{n}/ann@example.org" for n in range(20)]
    assert sorted(broker.delivered()) == sorted(wanted)


def test_a_fan_out_larger_than_a_task_leaves_its_list_behind(
    broker: Broker, start_consumer: StartConsumer, templates: Path
) -> None:
    # Given a rule that says what its templates do not read, and an event of 6 MB for 20,000 people
    rules = templates / "order.placed" / "rules.yaml"
    rules.write_text(rules.read_text() + "    omit: data.customer\n")
    people = [f"p{n}{'x' * 280}@example.org" for n in range(20_000)]
    broker.publish(structured("big", data={"customer": people, "total": 3}))

    # When intake runs
    process = start_consumer(NOTIFIER_EVENT_MAX_BYTES=str(8 * 1024 * 1024), NOTIFIER_TENANT_BURST="50000")
    process.until(lambda p: p.metric("notifier_events_received_total") == 1)

    # Then everyone has one delivery, in full tasks that carry what is left
    found = list(broker.batches())
    assert {len(batch.deliveries) for batch in found} == {50}
    assert all(batch.events[0].data == {"total": 3} for batch in found)
    assert sorted(d.to.address for batch in found for d in batch.deliveries) == sorted(people)  # type: ignore[union-attr]


def test_a_fan_out_that_would_copy_gigabytes_is_parked_with_what_to_do(
    broker: Broker, start_consumer: StartConsumer
) -> None:
    # Given the same without saying so
    people = [f"p{n}{'x' * 280}@example.org" for n in range(20_000)]
    broker.publish(structured("big", data={"customer": people}))
    start_consumer(NOTIFIER_EVENT_MAX_BYTES=str(8 * 1024 * 1024))
    broker.until(lambda depths: depths == {"failed-intake": 1})
    (entry,) = broker.parked()
    assert entry.parked[0].cause is Cause.PLANNING
    assert "`omit`" in entry.parked[0].reason


def test_redis_away_holds_events_and_loses_none(
    broker: Broker, start_consumer: StartConsumer, redis_server: RedisServer
) -> None:
    # Given a running intake whose Redis goes away
    process = start_consumer()
    process.until(lambda p: p.readiness()["status"] == "ok")
    redis_server.stop()
    try:
        # When events come
        broker.publish(*(structured(n) for n in range(50)))
        process.until(lambda p: p.readiness()["status"] != "ok")

        # Then nothing is planned and nothing acknowledged
        assert broker.depths() == {"notifier.intake": 50}
    finally:
        redis_server.start()

    # And when Redis is back, everything is planned once
    broker.until_taken_in()
    assert sorted(broker.delivered()) == sorted(f"{n}/ann@example.org" for n in range(50))
    process.until(lambda p: p.readiness()["status"] == "ok")


def test_sigterm_with_redis_away_does_not_wait_for_it_and_loses_nothing(
    broker: Broker, start_consumer: StartConsumer, redis_server: RedisServer
) -> None:
    # Given an intake that holds events because Redis is away, and may take ten minutes to stop
    process = start_consumer(NOTIFIER_GRACE="600")
    process.until(lambda p: p.readiness()["status"] == "ok")
    redis_server.stop()
    try:
        broker.publish(*(structured(n) for n in range(50)))
        process.until(lambda p: p.readiness()["status"] != "ok")

        # When it is asked to stop, then it does long before that, in good order
        assert process.stop() == 0
        # And the events are where they were
        assert broker.depths() == {"notifier.intake": 50}
    finally:
        redis_server.start()


def test_a_broker_that_dies_during_intake_loses_nothing(
    broker: Broker, start_consumer: StartConsumer, rabbitmq: RabbitMQ
) -> None:
    # Given many events and an intake that has begun
    broker.publish(*(structured(n) for n in range(1000)))
    process = start_consumer()
    process.until(lambda p: p.metric("notifier_deliveries_planned_total") > 0)

    # When the broker loses power and comes back
    rabbitmq.kill()
    rabbitmq.start()
    broker.until_taken_in()

    # Then every event was planned
    assert set(broker.delivered()) == {f"{n}/ann@example.org" for n in range(1000)}


def test_a_connection_closed_by_the_broker_is_made_again(
    broker: Broker, start_consumer: StartConsumer, rabbitmq: RabbitMQ
) -> None:
    process = start_consumer()
    process.until(lambda p: p.readiness()["status"] == "ok")
    rabbitmq.close_connections()
    broker.publish(structured("a"))
    broker.until(lambda depths: depths == {"email-normal": 1})


def test_a_node_that_does_not_give_it_its_queues_is_asked_no_longer_than_others(
    broker: Broker, start_consumer: StartConsumer, rabbitmq: RabbitMQ
) -> None:
    # Given a consumer with several nodes, and a queue that stands still, as when its leader's node has just frozen
    way = FreezingWay(rabbitmq.port)
    first = broker.url.replace(f":{rabbitmq.port}/", f":{way.port}/")
    process = start_consumer(NOTIFIER_BROKER_URL=f"{first};{broker.url}")
    process.until(lambda p: p.readiness()["status"] == "ok")
    rabbitmq.suspend_queue(broker.url, "notifier.intake")

    # When its own node is lost
    way.close()

    # Then the next one is given seconds, without a goodbye, and another time as soon as the queue can be read
    process.until(lambda p: "it has not given us its queues in 2 s" in p.log.read_text())
    rabbitmq.resume_queue(broker.url, "notifier.intake")
    broker.publish(structured("after"))
    broker.until_taken_in()
    assert broker.delivered() == ["after/ann@example.org"]


def test_a_deleted_intake_queue_is_declared_and_read_again(broker: Broker, start_consumer: StartConsumer) -> None:
    # Given a running intake
    process = start_consumer()
    process.until(lambda p: p.readiness()["status"] == "ok")

    # When its queue is deleted, which ends its subscription without an error
    broker.altered = True
    with broker.connect() as connection:
        connection.channel().queue_delete("notifier.intake")
    process.until(lambda p: p.metric("notifier_broker_reconnects_total") == 1 and p.readiness()["status"] == "ok")

    # Then it reads the new one
    broker.publish(structured("a"))
    broker.until(lambda depths: depths == {"email-normal": 1})


def test_a_full_work_queue_holds_events_and_loses_none(
    broker: Broker, start_consumer: StartConsumer, rabbitmq: RabbitMQ
) -> None:
    # Given a work queue that takes two tasks, and one delivery per task
    broker.altered = True
    rabbitmq.limit_queue(broker.url, "email-normal", 2)
    broker.publish(*(structured(n) for n in range(30)))
    process = start_consumer(NOTIFIER_BATCH_DELIVERIES="1", NOTIFIER_INTAKE_PREFETCH="5")
    process.until(lambda p: "nack" in str(p.readiness()))

    # When workers take tasks out again
    taken: list[str] = []
    while "notifier.intake" in broker.depths():
        taken += broker.delivered()
    taken += broker.delivered()

    # Then every event was planned, and what the queue had accepted was not published again
    assert sorted(taken) == sorted(f"{n}/ann@example.org" for n in range(30))


def test_a_deleted_work_queue_is_declared_again(broker: Broker, start_consumer: StartConsumer) -> None:
    # Given a running intake whose work queue is gone
    broker.altered = True
    process = start_consumer()
    process.until(lambda p: p.readiness()["status"] == "ok")
    with broker.connect() as connection:
        connection.channel().queue_delete("email-normal")

    # When an event comes, then its task is returned, the queue declared and the task published again
    broker.publish(structured("a"))
    process.until(lambda p: p.metric("notifier_events_received_total") == 1)
    assert broker.delivered() == ["a/ann@example.org"]


@pytest.mark.parametrize(
    ("begin", "end"),
    [(RabbitMQ.set_disk_alarm, RabbitMQ.clear_disk_alarm), (RabbitMQ.starve_of_memory, RabbitMQ.feed)],
    ids=["disk", "memory"],
)
def test_an_alarm_makes_it_wait_and_go_on(
    broker: Broker,
    start_consumer: StartConsumer,
    rabbitmq: RabbitMQ,
    begin: Callable[[RabbitMQ], None],
    end: Callable[[RabbitMQ], None],
) -> None:
    # Given events and a broker that lets nobody publish
    broker.publish(*(structured(n) for n in range(20)))
    begin(rabbitmq)
    try:
        # When intake runs
        process = start_consumer()
        process.until(lambda p: "blocks publishers" in str(p.readiness()))
        assert process.metric("notifier_intake_paused") == 1
        assert process.metric("notifier_broker_blocked") == 1
        assert broker.depths() == {"notifier.intake": 20}
    finally:
        end(rabbitmq)

    # Then it goes on by itself, and no event was returned or lost
    broker.until_taken_in()
    assert sorted(broker.delivered()) == sorted(f"{n}/ann@example.org" for n in range(20))
    assert process.metric("notifier_broker_reconnects_total") == 0
    assert process.metric("notifier_intake_paused") == 0
    assert process.metric("notifier_broker_blocked") == 0


def test_sigterm_finishes_what_was_taken_and_exits_well(broker: Broker, start_consumer: StartConsumer) -> None:
    # Given an intake in the middle of many events
    broker.publish(*(structured(n) for n in range(2000)))
    process = start_consumer(NOTIFIER_INTAKE_PREFETCH="50")
    process.until(lambda p: p.metric("notifier_deliveries_planned_total") > 0)

    # When it is asked to stop
    assert process.stop() == 0

    # Then every event is either planned once or still waiting in the queue
    planned = broker.delivered()
    waiting = [orjson.loads(body)["id"] + "/ann@example.org" for body in broker.bodies("notifier.intake")]
    assert sorted(planned + waiting) == sorted(f"{n}/ann@example.org" for n in range(2000))


def test_sigterm_ends_a_process_that_waits_for_its_broker(start_consumer: StartConsumer) -> None:
    process = start_consumer(NOTIFIER_BROKER_URL="amqp://127.0.0.1:1/")
    process.until(lambda p: "cannot be reached" in str(p.readiness()))
    assert process.stop() == 0


def test_wrong_settings_end_it_as_a_configuration_error(start_consumer: StartConsumer) -> None:
    process = start_consumer(NOTIFIER_INTAKE_PREFETCH="many")
    assert process.wait() == 78
    assert "NOTIFIER_INTAKE_PREFETCH" in process.log.read_text()


def test_it_waits_for_a_redis_that_is_away_at_the_start(
    broker: Broker, start_consumer: StartConsumer, redis_server: RedisServer
) -> None:
    # Given events, and Redis not started yet
    broker.publish(structured("a"))
    redis_server.stop()
    try:
        process = start_consumer()
        process.until(lambda p: "connection" in str(p.readiness()) and p.readiness()["status"] != "ok")
        assert broker.depths() == {"notifier.intake": 1}
    finally:
        redis_server.start()

    # When it is there, then intake begins
    broker.until(lambda depths: depths == {"email-normal": 1})


def test_kill_between_confirm_and_acknowledgement_loses_nothing(broker: Broker, start_consumer: StartConsumer) -> None:
    # Given an intake that is killed, again and again, as soon as tasks of it are confirmed
    broker.publish(*(structured(n) for n in range(600)))
    seen: list[str] = []
    for _ in range(5):
        process = start_consumer()
        # On a busy machine one of them may be through with all before we notice.
        broker.until(lambda depths: "email-normal" in depths or "notifier.intake" not in depths)
        process.stop(signal.SIGKILL)
        seen += broker.delivered()

    # When the next one may finish
    start_consumer()
    broker.until_taken_in()
    seen += broker.delivered()

    # Then every event was planned
    assert set(seen) == {f"{n}/ann@example.org" for n in range(600)}


def test_a_queue_of_another_shape_stops_the_process_with_the_reason(
    broker: Broker, start_consumer: StartConsumer
) -> None:
    # Given somebody's own idea of a work queue
    broker.altered = True
    with broker.connect() as connection:
        connection.channel().queue_delete("email-low")
        connection.channel().queue_declare("email-low", durable=True)

    # When intake starts, then it ends as a configuration error and says what to do
    process = start_consumer()
    assert process.wait() == 78
    assert "rabbitmqctl delete_queue" in process.log.read_text()
