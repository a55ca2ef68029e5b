"""Declares the broker's exchanges and queues from `notifier.domain.topology`, and explains it when the broker refuses.

It also declares what Celery's native delayed delivery needs, exactly as kombu 5.7 does: only a *worker* would do so
otherwise, and a delayed task published before the first worker ran is a 404, or lost without confirms.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from os import PathLike
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from consumers.connection import parameters, translated
from notifier.client.parameters import place
from notifier.domain.rule import WORK_QUEUES
from notifier.domain.topology import (
    EXCHANGES,
    FAILURE_QUEUES,
    FORMER_BINDINGS,
    QUEUES,
    TASKS_EXCHANGE,
    Exchange,
    Queue,
)
from notifier.errors import TopologyConflict

#: kombu's constants: 28 levels of 2^n seconds, so a delay may be 8.5 years.
LEVELS = 28
DELIVERY_EXCHANGE = "celery_delayed_delivery"
#: First version whose quorum queues have a delivery limit (20) without being asked.
_LIMITS_BY_DEFAULT = 4
#: "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'a' in vhost '/': received the value '20' of …"
_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>queue|exchange) '(?P<name>[^']+)'"
    r"[^:]*: (?P<difference>.*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages of ``source`` whose routing key matches go to ``target``."""

    source: str
    target: str
    routing_key: str
    target_is_queue: bool


@dataclass(frozen=True, slots=True)
class Declared:
    """One thing that is on the broker now. ``note`` is what an operator has to do besides, if anything."""

    kind: str
    """exchange | queue | binding."""
    name: str
    arguments: dict[str, str | int] = field(default_factory=dict)
    note: str = ""


def exchanges() -> Iterator[Exchange]:
    """Every exchange, delays included."""
    yield from EXCHANGES
    yield from (Exchange(level_name(level)) for level in reversed(range(LEVELS)))
    yield Exchange(DELIVERY_EXCHANGE)


def queues() -> Iterator[Queue]:
    """Every queue, delays included; each one after the queue its dead letters go to."""
    yield from QUEUES
    for level in range(LEVELS):
        arguments: dict[str, str | int] = {
            "x-queue-type": "quorum",
            "x-overflow": "reject-publish",
            "x-message-ttl": 2**level * 1000,
            "x-dead-letter-exchange": level_name(level - 1) if level else DELIVERY_EXCHANGE,
            "x-dead-letter-strategy": "at-least-once",
        }
        yield Queue(level_name(level), level_name(level), _bit(level, "1"), arguments)


def bindings() -> Iterator[Binding]:
    """Every binding, delays included."""
    yield from (Binding(queue.exchange, queue.name, queue.routing_key, True) for queue in queues())
    for level in range(LEVELS):
        following = level_name(level - 1) if level else DELIVERY_EXCHANGE
        yield Binding(level_name(level), following, _bit(level, "0"), False)
    for name in WORK_QUEUES:
        yield Binding(DELIVERY_EXCHANGE, TASKS_EXCHANGE, f"#.{name}", False)
        yield Binding(TASKS_EXCHANGE, name, f"#.{name}", True)


def level_name(level: int) -> str:
    """The exchange, and the queue, that holds a message for 2^level seconds."""
    return f"celery_delayed_{level}"


def _bit(level: int, value: str) -> str:
    """The routing keys whose bit for this level is ``value``; the first word is the bit of the highest level."""
    return "*." * (LEVELS - 1 - level) + f"{value}.#"


def describe() -> dict[str, Any]:
    """The topology as JSON for ``notifier topology show``."""
    return {
        "exchanges": [asdict(exchange) for exchange in exchanges()],
        "queues": [{"name": queue.name, "arguments": queue.arguments} for queue in queues()],
        "bindings": [asdict(binding) for binding in bindings()],
    }


async def apply(url: str, ca_file: str | PathLike[str] | None = None) -> list[Declared]:
    """`apply_topology` from a coroutine."""
    return await asyncio.to_thread(apply_topology, url, ca_file)


def apply_topology(url: str, ca_file: str | PathLike[str] | None = None) -> list[Declared]:
    """Declare everything; what is there already stays. Raises `TopologyConflict` naming every difference."""
    target = parameters(url, "notifier topology", ca_file)
    try:
        connection = pika.BlockingConnection(target)
        try:
            return _Declaring(connection, target.virtual_host).run()
        finally:
            if connection.is_open:
                connection.close()
    except (AMQPError, OSError) as error:
        raise translated(error, place(target)) from error


class _Declaring:
    """One run over the topology; a refusal closes the channel, so each goes on with a new one."""

    def __init__(self, connection: pika.BlockingConnection, vhost: str) -> None:
        self._connection = connection
        self._channel: BlockingChannel = connection.channel()
        self._vhost = vhost
        self._conflicts: list[str] = []
        self._declared: list[Declared] = []

    def run(self) -> list[Declared]:
        for exchange in exchanges():
            self._try(Declared("exchange", exchange.name), partial(_exchange, exchange))
        for queue in queues():
            declared = Declared("queue", queue.name, queue.arguments, self._note(queue.name))
            self._try(declared, partial(_queue, queue))
        if self._conflicts:
            raise TopologyConflict("\n".join(self._conflicts))
        for binding in bindings():
            name = f"{binding.source} → {binding.target} ({binding.routing_key})"
            self._try(Declared("binding", name), partial(_bind, binding))
        for queue_name, exchange_name, key in FORMER_BINDINGS:
            self._channel.queue_unbind(queue_name, exchange_name, key)
        return self._declared

    def _try(self, declared: Declared, declare: Callable[[BlockingChannel], None]) -> None:
        try:
            declare(self._channel)
        except ChannelClosedByBroker as error:
            if error.reply_code != 406:
                raise
            self._conflicts.append(explain_conflict(declared, error.reply_text, self._vhost))
            self._channel = self._connection.channel()
        else:
            self._declared.append(declared)

    def _note(self, queue: str) -> str:
        if queue not in FAILURE_QUEUES:
            return ""
        return delivery_limit_advice(server_version(self._connection), self._vhost)


def _exchange(exchange: Exchange, channel: BlockingChannel) -> None:
    channel.exchange_declare(exchange.name, exchange.type, durable=True)


def _queue(queue: Queue, channel: BlockingChannel) -> None:
    channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)


def _bind(binding: Binding, channel: BlockingChannel) -> None:
    if binding.target_is_queue:
        channel.queue_bind(binding.target, binding.source, binding.routing_key)
    else:
        channel.exchange_bind(binding.target, binding.source, binding.routing_key)


def server_version(connection: pika.BlockingConnection) -> str:
    """RabbitMQ's version, such as ``4.0.5``."""
    # BlockingConnection hides the properties the server sent when it said hello.
    properties = connection._impl.server_properties or {}  # noqa: SLF001
    return str(properties.get("version", ""))


def delivery_limit_advice(version: str, vhost: str) -> str:
    """What lifts the delivery limit of failure queues on this server; empty where there is none to lift.

    A policy and never an argument: -1 means unlimited on 4.x and "drop at the first return" on 3.10.
    """
    major = version.split(".", maxsplit=1)[0]
    if not major.isdigit() or int(major) < _LIMITS_BY_DEFAULT:
        return ""
    definition = json.dumps({"delivery-limit": -1})
    return (
        "RabbitMQ 4 drops a message after 20 returns, also from a failure queue. Lift that limit once: "
        f"rabbitmqctl set_policy --vhost '{vhost}' --apply-to quorum_queues notifier-failures "
        f"'^failed-(intake|email|webhook|digest)$' '{definition}'"
    )


def explain_conflict(declared: Declared, reply: str, vhost: str) -> str:
    """What differs and the way out, for the person who has to mend it."""
    found = _INEQUIVALENT.search(reply)
    what = f"{found['argument']}: {found['difference'].strip()}" if found else reply
    if declared.kind == "exchange":
        way_out = f"delete the exchange (rabbitmqctl eval or the management page, vhost {vhost!r})"
    else:
        way_out = (
            f"a queue's arguments cannot be changed: stop what publishes to it, let it run empty, "
            f"rabbitmqctl delete_queue --vhost '{vhost}' {declared.name}"
        )
    found_there = f"{declared.kind} {declared.name!r} exists with other properties ({what})"
    return f"{found_there}. To go on, {way_out}, then apply again"
