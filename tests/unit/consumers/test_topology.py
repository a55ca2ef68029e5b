"""What is declared, without a broker: names, delays as kombu's, and what a refusal means for a person."""

from typing import Any

import pytest
from kombu.transport import native_delayed_delivery as kombu_delays

from consumers.topology import (
    DELIVERY_EXCHANGE,
    LEVELS,
    _Declared,
    bindings,
    describe,
    exchanges,
    explain_conflict,
    level_name,
    queues,
)
from notifier.domain.rule import WORK_QUEUES
from notifier.domain.topology import DEAD_LETTERS, TASKS_EXCHANGE


def test_delays_are_named_as_kombu_names_them() -> None:
    assert [level_name(level) for level in range(LEVELS)] == [kombu_delays.level_name(n) for n in range(LEVELS)]
    assert kombu_delays.MAX_NUMBER_OF_BITS_TO_USE == LEVELS


@pytest.mark.parametrize("seconds", [1, 2, 3, 64, 1000, 2**27])
def test_a_delayed_task_passes_the_queues_of_its_bits_and_arrives(seconds: int) -> None:
    # Given where a task with this delay is published
    arguments = {queue.name: queue.arguments for queue in queues()}
    key = kombu_delays.calculate_routing_key(seconds, "email-normal").split(".")

    # When it follows the bindings
    waited, at = 0, level_name(LEVELS - 1)
    while at != DELIVERY_EXCHANGE:
        (follows,) = matching(at, key)
        if follows.target_is_queue:
            waited += int(arguments[follows.target]["x-message-ttl"])
            at = str(arguments[follows.target]["x-dead-letter-exchange"])
        else:
            at = follows.target

    # Then it has waited as long as it was told, and is handed to the tasks' exchange
    assert waited == seconds * 1000
    assert {one.target for one in matching(at, key)} == {TASKS_EXCHANGE}


def matching(exchange: str, key: list[str]) -> list[Any]:
    return [one for one in bindings() if one.source == exchange and fits(one.routing_key.split("."), key)]


def fits(pattern: list[str], key: list[str]) -> bool:
    """RabbitMQ's topic match, with ``#`` at one end."""
    if pattern[0] == "#":
        return key[-(len(pattern) - 1) :] == pattern[1:]
    exact = pattern[: pattern.index("#")] if "#" in pattern else pattern
    if len(key) < len(exact):
        return False
    return all(word in ("*", other) for word, other in zip(exact, key, strict=False))


def test_every_work_queue_is_declared_after_the_queue_of_its_dead_letters() -> None:
    names = [queue.name for queue in queues()]

    assert set(WORK_QUEUES) <= set(names)
    assert len(names) == len(set(names))
    assert all(names.index(DEAD_LETTERS) < names.index(queue) for queue in WORK_QUEUES)


def test_every_binding_is_between_what_is_declared() -> None:
    known_exchanges, known_queues = {one.name for one in exchanges()}, {queue.name for queue in queues()}

    for binding in bindings():
        assert binding.source in known_exchanges
        assert binding.target in (known_queues if binding.target_is_queue else known_exchanges)


def test_it_is_shown_whole() -> None:
    shown = describe()

    assert len(shown["queues"]) == len(list(queues()))
    assert {one["name"] for one in shown["exchanges"]} == {one.name for one in exchanges()}
    assert len(shown["bindings"]) == len(list(bindings()))


def test_a_queue_with_other_arguments_is_told_with_the_difference_and_the_way_out() -> None:
    reply = (
        "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'email-low' in vhost '/': "
        "received the value '20' of type 'signedint' but current is none"
    )

    told = explain_conflict(_Declared("queue", "email-low"), reply, "shop")

    assert "x-delivery-limit: received the value '20'" in told
    assert "rabbitmqctl delete_queue --vhost 'shop' email-low" in told


def test_an_exchange_of_another_kind_is_told_with_another_way_out() -> None:
    told = explain_conflict(_Declared("exchange", "notifier.tasks"), "PRECONDITION_FAILED - whatever", "shop")

    assert "delete the exchange" in told
    assert "PRECONDITION_FAILED - whatever" in told
