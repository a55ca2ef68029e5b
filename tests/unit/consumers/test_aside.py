"""Which part of a plan has room, and the message that takes an event aside."""

import pika

from consumers.aside import aside_message, with_room
from consumers.group import Received
from notifier.domain.rule import Channel, Priority
from notifier.domain.topology import QUEUES, TASKS_EXCHANGE, WAITING_QUEUES
from notifier.rules.planner import Plan
from tests.unit.consumers.factories import event, planned, rule

LOW, HIGH = (rule(f"order.placed/{p}", channel=Channel.EMAIL, priority=p) for p in (Priority.LOW, Priority.HIGH))


def own_queue(channel: Channel, priority: Priority, tenant: str) -> int:
    return 0


def third_shard(channel: Channel, priority: Priority, tenant: str) -> int:
    return 3


def a_plan() -> Plan:
    placed = event()
    return Plan(placed, (planned(placed, "a@example.org", LOW), planned(placed, "b@example.org", HIGH)))


def test_what_has_room_is_kept_and_the_queue_that_has_none_is_named() -> None:
    plan = a_plan()
    kept, lacking = with_room(plan, {"email-low"}, own_queue)
    assert [p.rule for p in kept.planned] == [HIGH]
    assert lacking == "email-low"


def test_a_plan_whose_queues_have_room_stays_as_it_is() -> None:
    plan = a_plan()
    assert with_room(plan, {"email-normal", "email-low-shard3"}, own_queue) == (plan, "")


def test_a_crowded_tenant_needs_room_in_its_shard_and_only_there() -> None:
    plan = a_plan()
    assert with_room(plan, {"email-low"}, third_shard) == (plan, "")
    assert with_room(plan, {"email-low-shard3"}, third_shard)[1] == "email-low-shard3"


def test_an_event_goes_aside_as_it_came_but_for_what_would_copy_or_refuse_it() -> None:
    # Given a message of another user that RabbitMQ copied to a second queue when it was published
    properties = pika.BasicProperties(
        content_type="application/json",
        headers={"cloudEvents:id": "1", "CC": ["audit"], "BCC": ["spy"]},
        message_id="order-1",
        user_id="shop",
    )
    received = Received(7, properties, b"{}", 0.0)

    # When it is put aside
    message = aside_message(received, "email-low-shard2")

    # Then it waits with those of the other shards, with an id of its own
    assert (message.exchange, message.routing_key, message.body) == (TASKS_EXCHANGE, "waiting-email-low-shards", b"{}")
    assert message.properties.content_type == "application/json"
    assert message.properties.headers == {"cloudEvents:id": "1"}
    assert message.properties.user_id is None
    assert message.properties.delivery_mode == 2
    assert message.properties.message_id not in (None, "order-1")
    # And what came is untouched
    assert received.properties.headers["CC"] == ["audit"]


def test_every_waiting_queue_is_declared_and_serves_every_work_queue_once() -> None:
    declared = {queue.name for queue in QUEUES}
    assert declared.issuperset(WAITING_QUEUES)
    served = [queue for queues in WAITING_QUEUES.values() for queue in queues]
    assert sorted(served) == sorted(set(served))
    assert declared.issuperset(served)
